// @ts-check
// Where values of runs stand on an axis, for charts that compare runs; pure.

/** @typedef {{key: string, title: string, kind: string}} Axis */
/** @typedef {{id: number, number: number, name: string, values: Record<string, number | string | null | undefined>}} RunPoint */
/** @typedef {{axes: Axis[], runs: RunPoint[], objective: string}} Points */
/** @typedef {{at: (value: any) => number | null, ticks: {at: number, text: string}[], isLog: boolean}} Scale from 0 to 1 */

/**
 * A scale for the values of an axis: linear, logarithmic where they are positive and span more than two decades, or one
 * place for each word.
 * @param {(number | string | null | undefined)[]} values
 * @returns {Scale}
 */
export function scaleOf(values) {
  const known = values.filter((v) => v !== null && v !== undefined);
  if (!known.length || known.some((v) => typeof v === "string")) return wordScale(known.map(String));
  const numbers = /** @type {number[]} */ (known);
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const isLog = low > 0 && high / low > 100;
  const f = isLog ? Math.log10 : (/** @type {number} */ x) => x;
  const [a, b] = [f(low), f(high)];
  const at = (/** @type {any} */ v) => (typeof v === "number" ? (b === a ? 0.5 : (f(v) - a) / (b - a)) : null);
  const shown = low === high ? [low] : [0, 0.25, 0.5, 0.75, 1].map((t) => (isLog ? 10 ** (a + t * (b - a)) : a + t * (b - a)));
  return { at, ticks: shown.map((v) => ({ at: /** @type {number} */ (at(v)), text: short(v) })), isLog };
}

/** @param {string[]} words @returns {Scale} */
function wordScale(words) {
  const unique = [...new Set(words)].sort((x, y) => x.localeCompare(y, undefined, { numeric: true }));
  const place = (/** @type {number} */ i) => (unique.length < 2 ? 0.5 : i / (unique.length - 1));
  const at = (/** @type {any} */ v) => (v === null || v === undefined ? null : place(unique.indexOf(String(v))));
  return { at, ticks: unique.map((text, i) => ({ at: place(i), text })), isLog: false };
}

/** @param {number} value three significant digits */
export function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 1e-3 || size >= 1e5 ? value.toExponential(1) : String(Number(value.toPrecision(3)));
  return text.replaceAll("-", "−");
}

/**
 * The axes that say most at first: choices that differ, then the objective; at most `most`.
 * @param {Points} points
 * @param {number} most
 */
export function firstAxes(points, most = 7) {
  const choices = points.axes.filter((axis) => axis.kind === "choice").slice(0, most - 1);
  const goal = points.axes.filter((axis) => axis.key === points.objective);
  return [...choices, ...(goal.length ? goal : points.axes.filter((axis) => axis.kind === "metric").slice(0, 1))].map((axis) => axis.key);
}
