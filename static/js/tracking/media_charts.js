// @ts-check
// Histograms, confusion matrices and figures of plotly, drawn from logged data.
import { PALETTES, theme } from "./colours.js";
import { overSteps, safeFigure, scaleOf } from "./media_store.js";
import { CONFIG, layout, plotly } from "./plotly.js";
import { format, toNumber } from "./points.js";
import { confusion } from "./results.js";

const BINS = 40;

/** @typedef {{edges: number[], counts: number[], count: number, nonfinite: number, mean?: number, std?: number, min?: number, max?: number}} Histogram */

/** @param {any} data @returns {Histogram} numbers only, whatever was logged */
export function histogramOf(data) {
  const edges = numbers(data?.edges);
  const counts = numbers(data?.counts);
  if (!counts.length || edges.length !== counts.length + 1) throw new Error("These data are no histogram.");
  return { ...data, edges, counts };
}

/**
 * @param {HTMLElement} place
 * @param {Histogram} found
 */
export async function drawHistogram(place, found) {
  const base = layout({ title: "value" });
  const { edges, counts } = found;
  const trace = {
    type: "bar", x: counts.map((_, i) => (edges[i] + edges[i + 1]) / 2), y: counts, width: counts.map((_, i) => edges[i + 1] - edges[i]),
    text: counts.map((_, i) => `${format(edges[i])} … ${format(edges[i + 1])}`), textposition: "none",
    marker: { color: PALETTES[theme()][0] }, hovertemplate: "%{text}<br>%{y}<extra></extra>",
  };
  await (await plotly()).react(place, [trace], { ...base, hovermode: "closest", bargap: 0 }, CONFIG);
}

/** @param {Histogram} found */
export function inWords(found) {
  const facts = [`${found.count} numbers`];
  if (found.mean !== undefined) facts.push(`mean ${format(toNumber(found.mean))} ± ${format(toNumber(found.std ?? NaN))}`);
  facts.push(`${format(found.edges[0])} … ${format(found.edges[found.edges.length - 1])}`);
  if (found.nonfinite) facts.push(`${found.nonfinite} not finite`);
  return facts.join(" · ");
}

/**
 * @param {HTMLElement} place
 * @param {{step: number, edges: number[], counts: number[]}[]} all
 * @param {number} shown the step that is marked
 */
export async function drawOverSteps(place, all, shown) {
  const style = getComputedStyle(document.documentElement);
  const base = layout({ title: "step", marks: [{ x: shown, kind: "resumed", text: "" }] });
  const trace = {
    type: "heatmap", ...overSteps(all, BINS), showscale: false, xgap: 1,
    colorscale: [[0, style.getPropertyValue("--s-surface").trim()], [1, style.getPropertyValue("--tblr-primary").trim()]],
    hovertemplate: "step %{x}<br>value %{y:.4g}<br>density %{z:.4g}<extra></extra>",
  };
  await (await plotly()).react(place, [trace], { ...base, hovermode: "closest" }, CONFIG);
}

/**
 * @param {HTMLElement} place
 * @param {any} data
 */
export async function drawMatrix(place, data) {
  const { labels, matrix } = matrixOf(data);
  const rounded = matrix.map((row) => row.map((n) => Number(n.toPrecision(4))));
  const { traces, layout: look } = confusion({ classes: labels, confusion: rounded });
  await (await plotly()).react(place, traces, look, CONFIG);
}

/** @param {any} data @returns {{labels: string[], matrix: number[][]}} */
export function matrixOf(data) {
  const matrix = Array.isArray(data?.matrix) ? data.matrix.map(numbers) : [];
  const labels = Array.isArray(data?.labels) ? data.labels.map(String) : [];
  if (!matrix.length || matrix.some((/** @type {number[]} */ row) => row.length !== matrix.length) || labels.length !== matrix.length) {
    throw new Error("These data are no confusion matrix.");
  }
  return { labels: distinct(labels), matrix };
}

/** Two classes of one name stay two rows. @param {string[]} labels */
function distinct(labels) {
  const seen = new Map();
  return labels.map((label) => {
    const n = (seen.get(label) ?? 0) + 1;
    seen.set(label, n);
    return n > 1 ? `${label} (${n})` : label;
  });
}

/**
 * @param {HTMLElement} place
 * @param {any} given
 * @returns {Promise<string>} in words what could not be drawn
 */
export async function drawFigure(place, given) {
  const { data, layout: own, missing } = safeFigure(given);
  const base = layout({ title: "" });
  const axes = Object.fromEntries(Object.entries(own).filter(([name]) => /^[xy]axis\d*$/.test(name)).map(([name, axis]) => [name, { ...base.xaxis, title: undefined, ...axis }]));
  const look = {
    ...own, xaxis: { ...base.xaxis, title: undefined }, yaxis: { ...base.xaxis, title: undefined }, ...axes,
    paper_bgcolor: base.paper_bgcolor, plot_bgcolor: base.plot_bgcolor, font: { ...own.font, ...base.font }, hoverlabel: base.hoverlabel,
    colorway: own.colorway ?? PALETTES[theme()], margin: { l: 40, r: 20, t: own.title ? 40 : 16, b: 32 },
  };
  await (await plotly()).react(place, data, look, CONFIG);
  showScale(place);
  return missing.length ? `Not drawn here: ${missing.join(", ")}. The download has all of it.` : "";
}

/** The colours of a figure and what they stand for, below it. @param {HTMLElement} place */
function showScale(place) {
  place.parentElement?.querySelector(".media-scale")?.remove();
  const found = scaleOf(/** @type {any} */ (place));
  if (!found) return;
  const line = document.createElement("div");
  line.className = "media-scale";
  const bar = document.createElement("span");
  bar.className = "media-scale-bar";
  bar.style.backgroundImage = `linear-gradient(to right, ${found.colours.join(", ")})`;
  line.append(format(found.low), bar, format(found.high));
  place.after(line);
}

/** @param {any} values */
function numbers(values) {
  return (Array.isArray(values) ? values : []).map(toNumber).map((n) => (Number.isFinite(n) ? n : 0));
}
