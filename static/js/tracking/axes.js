// @ts-check
// The x axes of charts: what the server is asked for, how values and ranges of the drawn axis are read and written.

/** @typedef {"step" | "epoch" | "samples" | "relative" | "time"} Axis */

export const TITLES = { step: "step", epoch: "epoch", samples: "samples", relative: "seconds", time: "time" };

/** The axis of the server behind it, and by what its numbers are multiplied. @param {Axis} axis @param {number} samples */
export function served(axis, samples) {
  return axis === "samples" ? { x: "step", scale: samples || 1 } : { x: axis, scale: 1 };
}

/**
 * A number of ours as Plotly draws it: it writes dates in universal time, so moments move by the zone of the reader.
 * @param {number} x seconds for `time`
 * @param {Axis} axis
 */
export function drawn(x, axis) {
  return axis === "time" ? x * 1000 - new Date(x * 1000).getTimezoneOffset() * 60000 : x;
}

/**
 * The number of ours that an end of a drawn range stands for.
 * @param {number | string} end
 * @param {Axis} axis
 * @param {boolean} log
 */
export function read(end, axis, log) {
  if (axis === "time") {
    const shown = typeof end === "number" ? end : Date.parse(`${end.trim().replace(" ", "T")}${/:/.test(end) ? "Z" : "T00:00Z"}`);
    return (shown + new Date(shown).getTimezoneOffset() * 60000) / 1000;
  }
  return log ? 10 ** Number(end) : Number(end);
}

/**
 * The ends of a range as Plotly's axis takes them.
 * @param {[number, number]} range
 * @param {Axis} axis
 * @param {boolean} log
 */
export function written(range, axis, log) {
  return range.map((end) => (axis === "time" ? drawn(end, axis) : log ? Math.log10(Math.max(end, Number.MIN_VALUE)) : end));
}

/** @param {number} x @param {Axis} axis words for a place on the axis */
export function words(x, axis) {
  if (axis === "time") return new Date(x * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const text = Number.isInteger(x) ? x.toLocaleString("en") : String(Number(x.toPrecision(6)));
  return axis === "relative" ? `${text} s` : `${TITLES[axis]} ${text}`;
}
