// @ts-check
// Colours and dashes of lines: ten colours that stay apart for colour-blind readers (Okabe and Ito's, extended), each
// with at least 3:1 against the charts' background in its theme. The same run has the same look on every page.

/** @typedef {"light" | "dark"} Theme */
/** @typedef {{colour: string, dash: "solid" | "dash" | "dot" | "dashdot"}} Look */

/** @type {Record<Theme, string[]>} */
export const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#9d5733", "#0097ff", "#534400", "#292836", "#970667", "#633c9d"],
  dark: ["#209bd3", "#ed5614", "#00cf75", "#f7b3bb", "#fe9800", "#4de3ff", "#f8f23f", "#c3ffd8", "#bf6094", "#6e63f6"],
};
/** @type {Look["dash"][]} */
export const DASHES = ["solid", "dash", "dot", "dashdot"];

/** @returns {Theme} the theme that the page shows */
export function theme() {
  return document.documentElement.dataset.bsTheme === "dark" ? "dark" : "light";
}

/**
 * The look of a run, by its id alone: the next ten runs differ in colour, the next forty in colour or dash.
 * @param {number} id
 * @param {Theme} on
 * @returns {Look}
 */
export function lookOfRun(id, on) {
  const palette = PALETTES[on];
  return { colour: palette[id % palette.length], dash: DASHES[Math.floor(id / palette.length) % DASHES.length] };
}

/**
 * The look of the k-th metric of a chart of one run: colour and dash change together.
 * @param {number} k
 * @param {Theme} on
 * @returns {Look}
 */
export function lookOfMetric(k, on) {
  const palette = PALETTES[on];
  return { colour: palette[k % palette.length], dash: DASHES[(k + Math.floor(k / palette.length)) % DASHES.length] };
}

const GAPS = { solid: "", dash: "5 3", dot: "1.5 2.5", dashdot: "5 2 1.5 2" };

/**
 * A short line that looks like the one in the chart, for legends.
 * @param {Look} look
 * @returns {SVGSVGElement}
 */
export function swatch(look) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [name, value] of Object.entries({ class: "swatch", width: "18", height: "8", viewBox: "0 0 18 8", "aria-hidden": "true" })) svg.setAttribute(name, value);
  const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
  for (const [name, value] of Object.entries({ x1: "0", x2: "18", y1: "4", y2: "4", stroke: look.colour, "stroke-width": "2.5", "stroke-dasharray": GAPS[look.dash] })) line.setAttribute(name, value);
  svg.append(line);
  return svg;
}
