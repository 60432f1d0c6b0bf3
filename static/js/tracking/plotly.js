// @ts-check
// Plotly, loaded once for all charts of a page, with the one configuration that every chart uses.

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const DASHES = ["solid", "dash", "solid", "dash", "dot", "dashdot"];

export const CONFIG = {
  displaylogo: false,
  displayModeBar: false,
  showTips: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  doubleClick: "autosize",
};

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

/** @typedef {{step: number, kind: string, text: string}} Mark a moment of the run that its charts point out */

/**
 * Layout for the theme that is on. `zoom` is the part of the x axis that is shown, null for all of it.
 * @param {{log: boolean, x: string, zoom?: [number, number] | null, marks?: Mark[]}} options
 */
export function layout(options) {
  const axis = { gridcolor: colour("--s-line"), linecolor: colour("--s-line-strong"), zeroline: false, automargin: true, ticks: "" };
  const zoom = options.zoom ?? null;
  return {
    shapes: (options.marks ?? []).map((mark) => ({
      type: "line", xref: "x", yref: "paper", x0: mark.step, x1: mark.step, y0: 0, y1: 1, layer: "below",
      line: { width: 1, dash: "dot", color: colour("--s-muted") },
      label: { text: mark.text, textangle: -90, textposition: "end", xanchor: "right", yanchor: "bottom", padding: 2, font: { size: 9, color: colour("--s-muted") } },
    })),
    margin: { l: 8, r: 10, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--s-muted"), family: colour("--tblr-font-sans-serif"), size: 11 },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--s-raised"), bordercolor: colour("--s-line-strong"), font: { color: colour("--s-text") } },
    xaxis: { ...axis, title: { text: options.x, font: { size: 11 } }, autorange: !zoom, ...(zoom ? { range: [...zoom] } : {}) },
    yaxis: { ...axis, fixedrange: true, type: options.log ? "log" : "linear" },
  };
}
