// @ts-check
// Plotly, loaded once for all charts of a page, with the one configuration that every chart uses.

export const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
export const DASHES = ["solid", "dash", "solid", "dash", "dot", "dashdot"];

export const CONFIG = {
  displaylogo: false,
  displayModeBar: false,
  showSendToCloud: false,
  plotlyServerURL: "",
  responsive: true,
  doubleClick: "reset",
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

/**
 * Layout for the theme that is on.
 * @param {{log: boolean, x: string}} options
 */
export function layout(options) {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: colour("--s-line"), linecolor: colour("--s-line-strong"), zeroline: false, automargin: true, ticks: "" };
  return {
    margin: { l: 8, r: 10, t: 8, b: 8 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: colour("--s-muted"), family: colour("--tblr-font-sans-serif"), size: 11 },
    showlegend: false,
    hovermode: "x unified",
    hoverlabel: { bgcolor: colour("--s-raised"), bordercolor: colour("--s-line-strong"), font: { color: colour("--s-text") } },
    xaxis: { ...axis, title: { text: options.x, font: { size: 11 } } },
    yaxis: { ...axis, type: options.log ? "log" : "linear" },
  };
}
