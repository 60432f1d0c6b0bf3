// @ts-check
// Plotly, loaded once for all charts of a page, with the one configuration that every chart uses.
import { TITLES, drawn, written } from "./axes.js";

export const CONFIG = {
  displaylogo: false,
  displayModeBar: false,
  showTips: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  doubleClick: "autosize",
};

/**
 * A text of somebody's as Plotly shows it letter by letter: it would make links and styles of what looks like them.
 * @param {string} text
 */
export const literal = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

/** @type {Promise<any> | undefined} */
let loading;

/** @returns {Promise<any>} */
export function plotly() {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("../../vendor/plotly-js-cartesian-dist-min-4.1.1/plotly-cartesian.min.js", import.meta.url).href;
    script.onload = () => resolve(/** @type {any} */ (globalThis).Plotly);
    script.onerror = () => reject(new Error("The chart library could not be loaded. Reload the page."));
    document.head.append(script);
  });
  return loading;
}

const NAMES = ["--s-line", "--s-line-strong", "--s-muted", "--s-raised", "--s-text", "--tblr-font-sans-serif"];
/** @type {Map<string | undefined, Record<string, string>>} */
const themes = new Map();

/**
 * A colour or font of the theme that is on. Each is asked for once: after a change of the page it would cost the style
 * of all of it, at every drawing of a live chart.
 * @param {string} name
 */
function colour(name) {
  const theme = document.documentElement.dataset.bsTheme;
  let known = themes.get(theme);
  if (!known) {
    const style = getComputedStyle(document.documentElement);
    themes.set(theme, (known = Object.fromEntries(NAMES.map((one) => [one, style.getPropertyValue(one).trim()]))));
  }
  return known[name];
}

/**
 * Layout for the theme that is on. `zoom` is the part of the x axis that is shown, null for all of it.
 * @param {{logY?: boolean, logX?: boolean, title?: string, x?: import("./axes.js").Axis, zoom?: [number, number] | null, marks?: import("./marks.js").Mark[], events?: boolean}} options
 * @param {[number, number] | null} [range] of the y axis, its logarithm on a logarithmic one; null for all values
 */
export function layout(options, range = null) {
  const { x = "step", zoom = null, logX = false } = options;
  // Margins that follow the labels cost a second drawing: lines, whose labels are short numbers, do without.
  const automargin = options.title !== undefined;
  // Whether a label leaves the chart would be asked of the browser, which then lays out the page, at each drawing.
  const axis = { ticklabeloverflow: "allow", gridcolor: colour("--s-line"), linecolor: colour("--s-line-strong"), zeroline: false, automargin, ticks: "" };
  return {
    shapes: options.events === false ? [] : (options.marks ?? []).map((mark) => shapeOf(mark, x, colour("--s-muted"))),
    margin: automargin ? { l: 8, r: 10, t: 8, b: 8 } : { l: 52, r: 18, t: 8, b: x === "time" ? 52 : 38 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--s-muted"), family: colour("--tblr-font-sans-serif"), size: 11 },
    showlegend: false,
    hovermode: false,
    hoverlabel: { bgcolor: colour("--s-raised"), bordercolor: colour("--s-line-strong"), font: { color: colour("--s-text") } },
    xaxis: {
      ...axis, title: { text: options.title ?? TITLES[x], font: { size: 11 } }, type: x === "time" ? "date" : logX ? "log" : "linear",
      autorange: !zoom, ...(zoom ? { range: written(zoom, x, logX) } : {}),
    },
    yaxis: { ...axis, fixedrange: true, type: options.logY ? "log" : "linear", autorange: !range, ...(range ? { range: [...range] } : {}) },
  };
}

/**
 * A checkpoint is a tick at the foot of the chart; what else happened is a line with its words.
 * @param {import("./marks.js").Mark} mark
 * @param {import("./axes.js").Axis} x
 * @param {string} color
 */
export function shapeOf(mark, x, color) {
  const place = drawn(mark.x, x);
  const line = { type: "line", xref: "x", yref: "paper", x0: place, x1: place, y0: 0, layer: "below" };
  if (mark.kind === "checkpoint") return { ...line, y1: 0.05, line: { width: 2, color } };
  const label = { text: mark.text, textangle: -90, textposition: mark.kind === "rate" ? "middle" : "end", xanchor: "right", yanchor: "bottom", padding: 2, font: { size: 9, color } };
  return { ...line, y1: 1, line: { width: 1, dash: mark.kind === "rate" ? "dashdot" : "dot", color }, label };
}
