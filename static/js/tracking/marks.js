// @ts-check
// Moments that charts point out: resumes and checkpoints, which the server knows, and jumps of the learning rate.

/** @typedef {{x: number, kind: "resumed" | "best" | "checkpoint" | "rate", text: string}} Mark */

/** @typedef {{x: number, kind: "resumed" | "best" | "checkpoint", text: string}} Moment as the server tells it, along the axis that it was asked for */

const MOST_RATES = 20;
const LEAST_JUMP = 1.25;

/**
 * What a chart points out along its axis: the moments, in units of the drawn axis, and the jumps of a learning rate.
 * @param {Moment[]} moments
 * @param {number} scale of the drawn axis, see `axes.served`
 * @param {import("./points.js").Line | undefined} rate along the drawn axis
 * @param {(value: number) => string} format
 * @returns {Mark[]}
 */
export function marksOf(moments, scale, rate, format) {
  return [...moments.map(({ x, kind, text }) => ({ x: x * scale, kind, text })), ...rateJumps(rate, format)];
}

/**
 * Where a learning rate jumps: by a quarter or more from one point to the next. A rate that changes all the time, as
 * that of a cosine does, has no such moments, and neither has one whose points are bins.
 * @param {import("./points.js").Line | undefined} line
 * @param {(value: number) => string} format
 * @returns {Mark[]}
 */
export function rateJumps(line, format) {
  if (!line || line.min) return [];
  /** @type {Mark[]} */
  const found = [];
  for (let i = 1; i < line.x.length; i++) {
    const [before, after] = [line.y[i - 1], line.y[i]];
    if (!before || !after || before < 0 || after < 0) continue;
    if (Math.max(before / after, after / before) >= LEAST_JUMP) found.push({ x: line.x[i], kind: "rate", text: `lr ${format(after)}` });
  }
  return found.length > MOST_RATES ? [] : found;
}

/**
 * The mark nearest to a place, if it is near enough to be meant.
 * @param {Mark[]} marks
 * @param {number} x
 * @param {number} reach
 */
export function markAt(marks, x, reach) {
  let best = null;
  for (const mark of marks) {
    const away = Math.abs(mark.x - x);
    if (away <= reach && (!best || away < Math.abs(best.x - x))) best = mark;
  }
  return best;
}
