// @ts-check
// Comments on points: where a pinned crosshair begins one, and the point that the link of a comment leads to.

/**
 * The address that begins a comment on a metric at a step.
 * @param {string} page the discussion of the run
 * @param {string} metric
 * @param {number} step
 */
export function talkAt(page, metric, step) {
  return `${page}?${new URLSearchParams({ metric, step: String(Math.round(step)) })}#new-comment`;
}

/**
 * The point that an address names; null where it names none.
 * @param {string} search the query of the address
 * @returns {{metric: string, step: number} | null}
 */
export function pointOf(search) {
  const asked = new URLSearchParams(search);
  const metric = asked.get("metric");
  const step = asked.get("step") ?? "";
  return metric && /^\d{1,15}$/.test(step) ? { metric, step: Number(step) } : null;
}
