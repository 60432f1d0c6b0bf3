// @ts-check
// The points of a chart: from series and live frames, in order, bounded, smoothed.

export const MOST_POINTS = 3000;

/** @typedef {{name: string, x: number[], y: (number | null)[], min?: (number | null)[], max?: (number | null)[], odd: {x: number, word: string}[], tails?: (Line & {fence: number})[], n?: number[]}} Line `tails` were done again by a later attempt; `n` lines have a value where this is a mean */

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
 * @param {number} [scale] of its x
 * @returns {Line}
 */
export function lineOf(series, scale = 1) {
  /** @type {Line} */
  const line = { name: series.name, x: [], y: [], odd: [] };
  if (series.min) {
    line.min = series.min;
    line.max = series.max;
  }
  series.x.forEach((x, i) => push(line, x * scale, series.last[i]));
  series.nonfinite?.forEach((n, i) => {
    if (n && Number.isFinite(toNumber(series.last[i]))) line.odd.push({ x: series.x[i] * scale, word: "NaN" });
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
 * Adds a live frame to those of the lines that are there; returns their names.
 * @param {Map<string, Line>} lines
 * @param {any} frame
 * @param {import("./axes.js").Axis} axis
 * @param {number | null} start seconds of the first point
 * @param {number} [samples] that a step takes
 */
export function extend(lines, frame, axis, start, samples = 1) {
  /** @type {string[]} */
  const grown = [];
  const xs = along(frame, axis, start, samples);
  frame.names.forEach((/** @type {string} */ name, /** @type {number} */ k) => {
    const line = lines.get(name);
    if (!line) return;
    for (let i = 0; i < xs.length; i++) push(line, xs[i], frame.values[k][i]);
    grown.push(name);
  });
  return grown;
}

/**
 * @param {any} frame
 * @param {import("./axes.js").Axis} axis
 * @param {number | null} start
 * @param {number} samples
 * @returns {number[]}
 */
function along(frame, axis, start, samples) {
  if (axis === "epoch") return frame.epochs;
  if (axis === "time") return frame.times;
  if (axis === "relative") return frame.times.map((/** @type {number} */ t) => t - (start ?? frame.times[0]));
  return axis === "samples" ? frame.steps.map((/** @type {number} */ s) => s * samples) : frame.steps;
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

/** @param {number | null | undefined} value */
export function format(value) {
  if (value == null) return "–";
  if (Number.isNaN(value)) return "NaN";
  const size = Math.abs(value);
  const text = value !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
}
