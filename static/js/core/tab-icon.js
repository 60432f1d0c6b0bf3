// @ts-check
// The icon of the tab as a ring that fills while a run goes on, and as its outcome at the end.

const COLOURS = { running: "#3b5bdb", succeeded: "#18794e", failed: "#b42318", cancelled: "#525d6b" };
const MARKS = { succeeded: "M10 16.5l4.5 4.5 8-9.5", failed: "M11 11l10 10M21 11l-10 10", cancelled: "M11 11h10v10h-10z" };

/**
 * A data: address of the icon; null for a state without one of its own.
 * @param {string} state
 * @param {number | null | undefined} fraction 0 to 1
 */
export function tabIcon(state, fraction) {
  const colour = COLOURS[/** @type {keyof typeof COLOURS} */ (state)];
  const mark = MARKS[/** @type {keyof typeof MARKS} */ (state)];
  if (!colour || (!mark && fraction == null)) return null;
  const round = 2 * Math.PI * 12;
  const inside = mark
    ? `<circle cx="16" cy="16" r="16" fill="${colour}"/><path d="${mark}" fill="none" stroke="#fff" stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round"/>`
    : `<circle cx="16" cy="16" r="12" fill="none" stroke="#9aa7b6" stroke-opacity=".45" stroke-width="7"/><circle cx="16" cy="16" r="12" fill="none" stroke="${colour}" stroke-width="7" stroke-dasharray="${(round * Math.min(Math.max(fraction ?? 0, 0), 1)).toFixed(1)} ${round.toFixed(1)}" transform="rotate(-90 16 16)"/>`;
  return `data:image/svg+xml,${encodeURIComponent(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">${inside}</svg>`)}`;
}

/**
 * @param {string} state
 * @param {number | null | undefined} fraction
 */
export function showTabIcon(state, fraction) {
  const link = /** @type {HTMLLinkElement | null} */ (document.querySelector("link[rel=icon]"));
  if (!link) return;
  link.dataset.plain ??= link.href;
  const wanted = tabIcon(state, fraction) ?? link.dataset.plain;
  if (link.href !== wanted) link.href = wanted;
}
