// @ts-check
// A chart of many binned lines: Plotly draws its axes, and a canvas over them the lines, in a tenth of the time.
import { drawn } from "./axes.js";
import { smooth } from "./points.js";
import { ODD_COLOUR, SPAN_ALPHA, levelOf } from "./traces.js";

/** @typedef {import("./traces.js").Entry} Entry */
/** @typedef {{smoothing: number, x: import("./axes.js").Axis, logX?: boolean, logY?: boolean}} Options */
/** @typedef {{_offset: number, _length: number, range: any[], r2l: (value: any) => number}} PlotAxis */

const PATTERNS = { solid: [], dash: [9, 5], dot: [2, 3], dashdot: [9, 4, 2, 4] };
const ARM_PX = 3.5;
const PIECE = 16; // points of a stroke: each row of pixels is searched for all edges of a stroke that cross it

/**
 * What Plotly is given instead of the lines: one that cannot be seen, from corner to corner of the place that they take.
 * @param {Entry[]} found
 * @param {Options} options
 */
export function corners(found, options) {
  const x = extent(found.flatMap(({ line }) => [line.x, line.odd.map((one) => one.x)]), Boolean(options.logX));
  const y = extent(found.flatMap(({ line }) => [line.min ?? line.y, line.max ?? line.y]), Boolean(options.logY));
  return [{ x: x.map((v) => drawn(v, options.x)), y, mode: "lines", line: { width: 0 }, hoverinfo: "skip", showlegend: false }];
}

/**
 * The least and the greatest of all values, of the positive ones on a logarithmic axis; 0 and 0 when there are none.
 * @param {(number | null)[][]} columns
 * @param {boolean} log
 * @returns {[number, number]}
 */
export function extent(columns, log) {
  let low = Infinity;
  let high = -Infinity;
  for (const column of columns) {
    for (const value of column) {
      if (value === null || (log && value <= 0)) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low > high ? [0, 0] : [low, high];
}

/**
 * From values of an axis, as Plotly draws them, to pixels from the start of the plot.
 * @param {PlotAxis} axis
 * @param {boolean} log
 * @param {boolean} up whether it grows against the pixels
 */
export function toPixels(axis, log, up) {
  const [from, to] = axis.range.map((end) => axis.r2l(end));
  const scale = axis._length / (to - from);
  const place = (/** @type {number} */ v) => ((log ? (v > 0 ? Math.log10(v) : -Infinity) : v) - from) * scale;
  return up ? (/** @type {number} */ v) => axis._length - place(v) : place;
}

/**
 * Draw the lines where Plotly's axes are now.
 * @param {HTMLCanvasElement} canvas
 * @param {{xaxis: PlotAxis, yaxis: PlotAxis}} axes
 * @param {Entry[]} found
 * @param {Options} options
 */
export function paintLines(canvas, { xaxis, yaxis }, found, options) {
  const ratio = globalThis.devicePixelRatio || 1;
  const [width, height] = [Math.round(xaxis._length * ratio), Math.round(yaxis._length * ratio)];
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  Object.assign(canvas.style, { left: `${xaxis._offset}px`, top: `${yaxis._offset}px`, width: `${xaxis._length}px`, height: `${yaxis._length}px` });
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, xaxis._length, yaxis._length);
  pen.lineJoin = "bevel";
  const across = toPixels(xaxis, Boolean(options.logX), false);
  const up = toPixels(yaxis, Boolean(options.logY), true);
  const bottom = 4 * yaxis._length; // where what a logarithmic axis cannot show leads to
  const place = { x: (/** @type {number} */ v) => across(drawn(v, options.x)), y: (/** @type {number} */ v) => Math.min(up(v), bottom) };
  for (const { line, look } of found) {
    Object.assign(pen, { strokeStyle: look.colour, fillStyle: look.colour, lineWidth: 1.2, globalAlpha: SPAN_ALPHA });
    if (line.min && line.max) for (const [x, y, w, h] of columns(line.x.map(place.x), line.min, line.max, place.y, ratio)) pen.fillRect(x, y, w, h);
    else if (options.smoothing) trace(pen, line.x, line.y, place);
  }
  for (const { line, look } of found) {
    Object.assign(pen, { strokeStyle: look.colour, lineWidth: 1.5, globalAlpha: 1 });
    pen.setLineDash(PATTERNS[look.dash]);
    trace(pen, line.x, smooth(line.y, options.smoothing), place);
  }
  Object.assign(pen, { strokeStyle: ODD_COLOUR, lineWidth: 2, globalAlpha: 1 });
  pen.setLineDash([]);
  for (const { line } of found) cross(pen, line, place);
}

/** @typedef {{x: (value: number) => number, y: (value: number) => number}} Place */

/**
 * A column from the least to the greatest value of each bin, over the pixels that it takes: `[x, y, width, height]`, side
 * by side, since they are seen through. Filling them costs a hundredth of a stroke up and down.
 * @param {number[]} x pixels of the end of each bin, in order
 * @param {(number | null)[]} min
 * @param {(number | null)[]} max
 * @param {(value: number) => number} up
 * @param {number} ratio of real pixels
 * @returns {[number, number, number, number][]}
 */
export function columns(x, min, max, up, ratio) {
  let usual = Infinity; // the width of a bin where no point is missing
  for (let i = 1; i < x.length; i++) if (x[i] > x[i - 1] && x[i] - x[i - 1] < usual) usual = x[i] - x[i - 1];
  if (usual === Infinity) usual = 1;
  const real = (/** @type {number} */ v) => Math.round(v * ratio) / ratio;
  /** @type {[number, number, number, number][]} */
  const found = [];
  let [left, right, top, foot] = [0, -Infinity, 0, 0];
  const keep = () => { if (right > left) found.push([left, top, right - left, Math.max(foot - top, 1 / ratio)]); };
  for (let i = 0; i < x.length; i++) {
    const [low, high] = [min[i], max[i]];
    if (low === null || high === null) continue;
    const end = real(x[i]);
    if (right >= end && right > left) { // in the same pixel as the one before
      top = Math.min(top, up(high));
      foot = Math.max(foot, up(low));
      continue;
    }
    keep();
    const begin = real(i && x[i] - x[i - 1] <= 2 * usual ? x[i - 1] : x[i] - usual);
    left = Math.min(Math.max(begin, right), end - 1 / ratio);
    [right, top, foot] = [end, up(high), up(low)];
  }
  keep();
  return found;
}

/** One line through the points, with a gap at each null, in short strokes unless it is dashed. @param {CanvasRenderingContext2D} pen @param {number[]} x @param {(number | null)[]} y @param {Place} place */
function trace(pen, x, y, place) {
  const most = pen.getLineDash().length ? Infinity : PIECE;
  let isDown = false;
  let [count, px, py] = [0, 0, 0];
  pen.beginPath();
  for (let i = 0; i < x.length; i++) {
    const value = y[i];
    if (value === null) {
      isDown = false;
      continue;
    }
    if (isDown && ++count % most === 0) {
      pen.stroke();
      pen.beginPath();
      pen.moveTo(px, py);
    }
    [px, py] = [place.x(x[i]), place.y(value)];
    if (isDown) pen.lineTo(px, py);
    else pen.moveTo(px, py - 0.01); // a point alone is seen too
    if (!isDown) pen.lineTo(px, py);
    isDown = true;
  }
  pen.stroke();
}

/** @param {CanvasRenderingContext2D} pen @param {import("./points.js").Line} line @param {Place} place */
function cross(pen, line, place) {
  if (!line.odd.length) return;
  const y = place.y(levelOf(line));
  pen.beginPath();
  for (const { x } of line.odd) {
    const at = place.x(x);
    pen.moveTo(at - ARM_PX, y - ARM_PX);
    pen.lineTo(at + ARM_PX, y + ARM_PX);
    pen.moveTo(at - ARM_PX, y + ARM_PX);
    pen.lineTo(at + ARM_PX, y - ARM_PX);
  }
  pen.stroke();
}
