// @ts-check
// What Plotly draws of a chart: for each line its band from least to greatest, itself, and marks where it is not finite.
import { drawn } from "./axes.js";
import { DASHES, lookOfMetric, lookOfRun } from "./colours.js";
import { smooth } from "./points.js";

/** @typedef {import("./points.js").Line} Line */
/** @typedef {{id: number, name: string, lines: Map<string, Line>, hidden?: boolean, of?: number}} Source the lines of a run, or the means `of` several */
/** @typedef {{label: string, line: Line, look: import("./colours.js").Look}} Entry a line of a chart, with its words and look */

const SHORT = 3;
const MOST_BANDS = 3; // more of them hide each other, and cost as much again as the lines
export const SPAN_ALPHA = 0.4; // of the stroke behind a line among many
export const ODD_COLOUR = "#b42318";

/**
 * The lines of a chart that have come, in the order of its metrics. Several runs differ in colour, their metrics in dash.
 * @param {string[]} names
 * @param {Source[]} sources
 * @param {import("./colours.js").Theme} on
 * @returns {Entry[]}
 */
export function entries(names, sources, on) {
  const many = sources.length > 1 || sources.some((source) => source.of);
  return names.flatMap((name, k) => sources.flatMap((source) => {
    const line = source.lines.get(name);
    if (!line || source.hidden || (many && !line.x.length)) return [];
    if (!many) return [{ label: name, line, look: lookOfMetric(k, on) }];
    const look = lookOfRun(source.id, on);
    return [{ label: names.length > 1 ? `${source.name} · ${name}` : source.name, line, look: names.length > 1 ? { ...look, dash: DASHES[k % DASHES.length] } : look }];
  }));
}

/** Whether so many of them have bins that bands would hide each other; deviations from a mean are always bands. @param {Entry[]} found */
export function isCrowded(found) {
  return !found.some((entry) => entry.line.n) && found.filter((entry) => entry.line.min).length > MOST_BANDS;
}

/**
 * @param {Entry[]} found
 * @param {{smoothing: number, x: import("./axes.js").Axis}} options
 * @returns {object[]}
 */
export function traces(found, options) {
  const many = isCrowded(found);
  return found.flatMap((entry) => [
    ...tails(entry, options), ...(many && entry.line.min ? strokes(entry, options) : [...bands(entry, options), ...itself(entry, options)]), ...odds(entry, options),
  ]);
}

/** @param {number[]} x @param {import("./axes.js").Axis} axis */
function along(x, axis) {
  return axis === "time" ? x.map((v) => drawn(v, axis)) : x;
}

/** @param {Entry} entry @param {{x: import("./axes.js").Axis}} options */
export function tails({ label, line, look }, options) {
  return (line.tails ?? []).map((tail) => ({
    x: along(tail.x, options.x), y: tail.y, name: `${label}, attempt ${tail.fence}`, mode: tail.x.length < SHORT ? "lines+markers" : "lines",
    line: { color: look.colour, width: 1.4, dash: "dot" }, marker: { size: 4, color: look.colour }, opacity: 0.4, hoverinfo: "skip",
  }));
}

/** @param {Entry} entry @param {{x: import("./axes.js").Axis}} options */
function bands({ line, look }, options) {
  if (!line.min || !line.max) return [];
  const { x, y } = band(along(line.x, options.x), line.min, line.max);
  return [{ x, y, mode: "lines", line: { width: 0.7, color: `${look.colour}59` }, fill: "toself", fillcolor: `${look.colour}33`, hoverinfo: "skip", showlegend: false }];
}

/** @param {Entry} entry @param {{smoothing: number, x: import("./axes.js").Axis}} options */
function itself({ label, line, look }, options) {
  const x = along(line.x, options.x);
  const raw = options.smoothing ? [{ x, y: line.y, mode: "lines", line: { color: look.colour, width: 1 }, opacity: 0.3, hoverinfo: "skip", showlegend: false }] : [];
  return [...raw, {
    x, y: smooth(line.y, options.smoothing), name: label, mode: line.x.length < SHORT ? "lines+markers" : "lines", connectgaps: false,
    line: { color: look.colour, width: 1.8, dash: look.dash }, marker: { size: 5, color: look.colour }, hoverinfo: "skip",
  }];
}

/**
 * A line among many: behind it one stroke through the least and the greatest value of each bin.
 * @param {Entry} entry
 * @param {{smoothing: number, x: import("./axes.js").Axis}} options
 */
function strokes({ label, line, look }, options) {
  const { x, y } = stroke(along(line.x, options.x), line.min ?? [], line.max ?? []);
  const own = itself({ label, line, look }, options);
  return [{ x, y, mode: "lines", line: { color: look.colour, width: 1.2 }, opacity: SPAN_ALPHA, hoverinfo: "skip", showlegend: false }, own[own.length - 1]];
}

/** How high the marks of what is not finite stand: at the least of the newest values. @param {Line} line */
export function levelOf(line) {
  let level = Infinity;
  for (const value of line.y.slice(-500)) if (value !== null && value < level) level = value;
  return level === Infinity ? 0 : level;
}

/** @param {Entry} entry @param {{x: import("./axes.js").Axis}} options */
function odds({ label, line }, options) {
  if (!line.odd.length) return [];
  const level = levelOf(line);
  return [{
    x: along(line.odd.map((o) => o.x), options.x), y: line.odd.map(() => level), name: `${label} not finite`,
    mode: "markers", marker: { symbol: "x", size: 9, color: ODD_COLOUR }, hoverinfo: "skip", showlegend: false,
  }];
}

/**
 * The outline of what lies between two lines, a closed shape for each stretch without a gap.
 * @param {number[]} x
 * @param {(number | null)[]} min
 * @param {(number | null)[]} max
 */
export function band(x, min, max) {
  /** @type {(number | null)[]} */
  const xs = [];
  /** @type {(number | null)[]} */
  const ys = [];
  for (let from = 0; from < x.length; from++) {
    if (min[from] === null) continue;
    let end = from;
    while (end < x.length && min[end] !== null) end++;
    if (xs.length) {
      xs.push(null);
      ys.push(null);
    }
    for (let i = from; i < end; i++) xs.push(x[i]) && ys.push(max[i]);
    for (let i = end - 1; i >= from; i--) xs.push(x[i]) && ys.push(min[i]);
    from = end;
  }
  return { x: xs, y: ys };
}

/**
 * From bin to bin, up in one and down in the next; a bin without finite values is a gap.
 * @param {number[]} x
 * @param {(number | null)[]} min
 * @param {(number | null)[]} max
 */
export function stroke(x, min, max) {
  return {
    x: x.flatMap((v) => [v, v]),
    y: x.flatMap((_, i) => (i % 2 ? [max[i] ?? null, min[i] ?? null] : [min[i] ?? null, max[i] ?? null])),
  };
}
