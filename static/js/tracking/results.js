// @ts-check
// <result-chart data-kind data-source>: draws what the page's JSON holds of a run's results.
// <pixel-image data-pixels data-width data-height data-channels>: a small picture from its bytes.
import { PALETTES, theme } from "./colours.js";
import { CONFIG, layout, literal, plotly } from "./plotly.js";

/** @typedef {{classes: string[], confusion: number[][]}} Confusion */
/** @typedef {{points: {true: number[], predicted: number[]}, residuals: {edges: number[], counts: number[]}}} Numbers */

/**
 * Shares of each true class, which make rows of different size comparable.
 * @param {number[][]} counts
 */
export function rowShares(counts) {
  return counts.map((row) => {
    const total = row.reduce((sum, n) => sum + n, 0);
    return row.map((n) => (total ? n / total : 0));
  });
}

/**
 * RGBA of bytes with one or three channels.
 * @param {string} data base64
 * @param {number} channels
 */
export function rgba(data, channels) {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  const count = Math.floor(bytes.length / channels);
  const found = new Uint8ClampedArray(count * 4);
  for (let i = 0; i < count; i++) {
    for (let k = 0; k < 3; k++) found[i * 4 + k] = bytes[i * channels + (channels === 1 ? 0 : k)] ?? 0;
    found[i * 4 + 3] = 255;
  }
  return found;
}

/** @param {Confusion} data */
export function confusion({ classes, confusion: counts }) {
  const style = getComputedStyle(document.documentElement);
  const many = classes.length > 20;
  const names = classes.map(literal);
  const text = counts.map((row) => row.map((n) => (n ? String(n) : "")));
  const trace = {
    type: "heatmap", z: rowShares(counts), x: names, y: names, customdata: counts, zmin: 0, zmax: 1, showscale: false, xgap: 1, ygap: 1,
    // Plotly writes in white or dark grey on each cell: both can be read on this blue in either theme.
    colorscale: [[0, style.getPropertyValue("--s-surface").trim()], [1, style.getPropertyValue("--tblr-primary").trim()]],
    hovertemplate: "true %{y}<br>predicted %{x}<br>%{customdata} (%{z:.1%} of the class)<extra></extra>",
    ...(many ? {} : { text, texttemplate: "%{text}" }),
  };
  const base = layout({ title: "predicted" });
  const category = { type: "category", showgrid: false, tickangle: "auto" };
  return {
    traces: [trace],
    layout: {
      ...base, hovermode: "closest",
      xaxis: { ...base.xaxis, ...category },
      yaxis: { ...base.yaxis, ...category, autorange: "reversed", title: { text: "true", font: { size: 11 } } },
    },
  };
}

/** @param {Numbers} data */
function points({ points: { true: truth, predicted } }) {
  const both = [...truth, ...predicted].filter(Number.isFinite);
  const [low, high] = both.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const base = layout({ title: "true" });
  return {
    traces: [
      { x: [low, high], y: [low, high], mode: "lines", line: { color: base.xaxis.linecolor, width: 1.5, dash: "dash" }, hoverinfo: "skip" },
      { x: truth, y: predicted, mode: "markers", marker: { color: PALETTES[theme()][0], size: 5, opacity: 0.55 }, hovertemplate: "true %{x:.5g}<br>predicted %{y:.5g}<extra></extra>" },
    ],
    layout: { ...base, hovermode: "closest", yaxis: { ...base.yaxis, title: { text: "predicted", font: { size: 11 } } } },
  };
}

/** @param {Numbers} data */
function residuals({ residuals: { edges, counts } }) {
  const base = layout({ title: "predicted − true" });
  const middle = counts.map((_, i) => (edges[i] + edges[i + 1]) / 2);
  const span = counts.map((_, i) => `${Number(edges[i].toPrecision(4))} … ${Number(edges[i + 1].toPrecision(4))}`);
  return {
    traces: [{ type: "bar", x: middle, y: counts, text: span, textposition: "none", marker: { color: PALETTES[theme()][0] }, hovertemplate: "%{text}<br>%{y} examples<extra></extra>" }],
    layout: { ...base, hovermode: "closest", bargap: 0.05, yaxis: { ...base.yaxis, title: { text: "examples", font: { size: 11 } } } },
  };
}

const KINDS = { confusion, points, residuals };

// Without a page (under `node --test`) only the pure parts above are there.
if (globalThis.HTMLElement) {
  class ResultChart extends HTMLElement {
    connectedCallback() {
      this.theme = new MutationObserver(() => this.draw());
      this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
      this.draw();
    }

    disconnectedCallback() {
      this.theme?.disconnect();
    }

    async draw() {
      const source = document.getElementById(this.dataset.source ?? "");
      const kind = KINDS[/** @type {keyof typeof KINDS} */ (this.dataset.kind)];
      if (!source || !kind) return;
      const Plotly = await plotly();
      const { traces, layout: look } = kind(JSON.parse(source.textContent ?? "null"));
      await Plotly.react(this, traces, look, CONFIG);
      this.dataset.drawn = "1";
    }
  }

  class PixelImage extends HTMLElement {
    connectedCallback() {
      const [width, height, channels] = [this.dataset.width, this.dataset.height, this.dataset.channels].map(Number);
      const pixels = rgba(this.dataset.pixels ?? "", channels || 1);
      if (!width || !height || pixels.length !== width * height * 4) return;
      const canvas = document.createElement("canvas");
      canvas.width = width;
      canvas.height = height;
      canvas.getContext("2d")?.putImageData(new ImageData(pixels, width, height), 0, 0);
      this.replaceChildren(canvas);
    }
  }

  customElements.define("result-chart", ResultChart);
  customElements.define("pixel-image", PixelImage);
}
