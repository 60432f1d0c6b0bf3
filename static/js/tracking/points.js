// @ts-check
// The points of a chart: from series and live frames, in order, bounded, smoothed.

export const MOST_POINTS = 3000;

/** @typedef {{name: string, x: number[], y: (number | null)[], min?: (number | null)[], max?: (number | null)[], odd: {x: number, word: string}[], tails?: (Line & {fence: number})[]}} Line `tails` were done again by a later attempt */

/**
 * A number out of JSON, where NaN and infinities are words.
 * @param {number | string | null} value
 */
export function toNumber(value) {
  if (typeof value === "number") return value;
  if (value === "Infinity") return Infinity;
  if (value === "-Infinity") return -Infinity;
  return NaN;
}

/**
 * @param {{name: string, x: number[], last: any[], min?: any[], max?: any[], nonfinite?: number[]}} series
 * @returns {Line}
 */
export function lineOf(series) {
  /** @type {Line} */
  const line = { name: series.name, x: [], y: [], odd: [] };
  if (series.min) {
    line.min = series.min;
    line.max = series.max;
  }
  series.x.forEach((x, i) => push(line, x, series.last[i]));
  series.nonfinite?.forEach((n, i) => {
    if (n && Number.isFinite(toNumber(series.last[i]))) line.odd.push({ x: series.x[i], word: "NaN" });
  });
  return line;
}

/**
 * @param {Line} line
 * @param {number} x
 * @param {number | string | null} value
 */
export function push(line, x, value) {
  const y = toNumber(value);
  line.x.push(x);
  if (Number.isFinite(y)) line.y.push(y);
  else {
    line.y.push(null);
    line.odd.push({ x, word: Number.isNaN(y) ? "NaN" : y > 0 ? "∞" : "−∞" });
  }
  if (line.min && line.max) {
    if (line.min.length < line.x.length) line.min.push(Number.isFinite(y) ? y : null);
    if (line.max.length < line.x.length) line.max.push(Number.isFinite(y) ? y : null);
  }
}

/**
 * Adds a live frame to the lines; returns the names that were not there before.
 * @param {Map<string, Line>} lines
 * @param {any} frame
 * @param {"step" | "epoch" | "relative"} axis
 * @param {number | null} start seconds of the first point
 */
export function extend(lines, frame, axis, start) {
  /** @type {string[]} */
  const fresh = [];
  const xs = axis === "step" ? frame.steps : axis === "epoch" ? frame.epochs : frame.times.map((/** @type {number} */ t) => t - (start ?? frame.times[0]));
  frame.names.forEach((/** @type {string} */ name, /** @type {number} */ k) => {
    let line = lines.get(name);
    if (!line) {
      line = { name, x: [], y: [], odd: [] };
      lines.set(name, line);
      fresh.push(name);
    }
    for (let i = 0; i < xs.length; i++) push(line, xs[i], frame.values[k][i]);
  });
  return fresh;
}

/**
 * Exponential smoothing without the bias of the first values.
 * @param {(number | null)[]} y
 * @param {number} weight 0 (none) to below 1
 */
export function smooth(y, weight) {
  if (!weight) return y;
  let sum = 0;
  let count = 0;
  return y.map((value) => {
    if (value === null) return null;
    sum = sum * weight + (1 - weight) * value;
    count = count * weight + (1 - weight);
    return sum / count;
  });
}

/**
 * Charts of a run: training and validation of the same thing share one.
 * @param {Iterable<string>} names
 * @returns {{title: string, section: string, names: string[]}[]}
 */
export function grouped(names) {
  /** @type {Map<string, string[]>} */
  const charts = new Map();
  for (const name of names) {
    const short = name.replace(/^(train|val|valid|validation|test)[_/]/, "").replace(/_(step|epoch)$/, "");
    const key = name.includes("/") && !/^(train|val|valid|validation|test)\//.test(name) ? name : short;
    charts.set(key, [...(charts.get(key) ?? []), name]);
  }
  const order = (/** @type {string} */ t) => (t === "loss" ? 0 : /acc|r2|f1|auc|iou|bleu/.test(t) ? 1 : /mae|mse|rmse/.test(t) ? 2 : 3);
  return [...charts]
    .map(([title, members]) => ({ title, section: title.includes("/") ? title.split("/")[0] : "", names: members.sort() }))
    .sort((a, b) => order(a.title) - order(b.title) || (a.title < b.title ? -1 : 1));
}

/** @param {number | null | undefined} value */
export function format(value) {
  if (value == null) return "–";
  if (Number.isNaN(value)) return "NaN";
  const size = Math.abs(value);
  const text = value !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
