// @ts-check
// What a run's media page knows: items by key and step, as its answers bring them; and their data made safe to draw.

/** @typedef {{seq: number, kind: string, key: string, step: number, at_step: number, epoch: number, logged_at_s: number, fence: number, mime: string, size_bytes: number, caption: string, meta: Record<string, any>}} Item */
/** @typedef {{name: string, key: string, kind: string, steps: number[], items: Map<number, Item[]>}} Group */

export const MOST_SHOWN = 64;
/** Kinds of which all items of a step are shown; of the others the newest. */
const TOGETHER = new Set(["image", "audio"]);
/** What the vendored bundle can draw. */
const TRACES = new Set(["bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "image", "pie", "scatter", "scatterternary", "violin"]);
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/;
const MOST_DEPTH = 30;
/** What Plotly would take for a link or draw with an inline style; the words inside stay. */
const TAG = /<\/?(?:a|b|i|em|strong|sub|sup|span|u|s)(?:\s[^>]*)?>/gi;

export class MediaStore {
  constructor() {
    /** @type {Map<string, Group>} */
    this.groups = new Map();
    this.cursor = 0;
    /** @type {string | null} */
    this.line = null;
  }

  /**
   * Takes an answer; returns the names of the groups that it changes, or null when all must be asked for again.
   * @param {{items: Item[], cursor: number, line: string}} answer
   * @returns {Set<string> | null}
   */
  take(answer) {
    if (this.line !== null && this.line !== answer.line) {
      this.groups.clear();
      this.cursor = 0;
      this.line = null;
      return null;
    }
    this.line = answer.line;
    const touched = new Set();
    for (const item of answer.items) {
      if (item.seq <= this.cursor) continue;
      touched.add(this.add(item));
    }
    this.cursor = Math.max(this.cursor, answer.cursor);
    return touched;
  }

  /** @param {Item} item */
  add(item) {
    const name = `${item.key}\n${item.kind}`;
    let group = this.groups.get(name);
    if (!group) {
      group = { name, key: item.key, kind: item.kind, steps: [], items: new Map() };
      this.groups.set(name, group);
    }
    const known = group.items.get(item.step);
    if (!known) {
      let at = group.steps.length;
      while (at > 0 && group.steps[at - 1] > item.step) at--;
      group.steps.splice(at, 0, item.step);
    }
    const goesOn = known && TOGETHER.has(item.kind) && known[0].fence === item.fence;
    if (goesOn) known.push(item);
    else if (!known || known[0].fence <= item.fence) group.items.set(item.step, [item]);
    return name;
  }

  /** @param {string} words */
  matching(words) {
    const wanted = words.trim().toLowerCase();
    const found = [...this.groups.values()].filter((g) => g.key.toLowerCase().includes(wanted));
    return found.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.kind < b.kind ? -1 : 1));
  }
}

/**
 * The place of the greatest step that is not above this one; 0 when all are.
 * @param {number[]} steps ascending
 * @param {number} step
 */
export function placeOf(steps, step) {
  let low = 0;
  let high = steps.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] <= step) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/**
 * At most `most` of them, evenly, the first and the last among them.
 * @template T
 * @param {T[]} all
 * @param {number} most
 */
export function thinned(all, most) {
  if (all.length <= most) return all;
  return Array.from({ length: most }, (_, i) => all[Math.round((i * (all.length - 1)) / (most - 1))]);
}

/**
 * Histograms of several steps on bins that they share: z[bin][step] is the share of that step's numbers a unit of value.
 * @param {{step: number, edges: number[], counts: number[]}[]} all
 * @param {number} bins
 */
export function overSteps(all, bins) {
  const low = Math.min(...all.map((h) => h.edges[0]));
  const high = Math.max(...all.map((h) => h.edges[h.edges.length - 1]));
  const width = (high - low) / bins || 1;
  const z = Array.from({ length: bins }, () => new Array(all.length).fill(0));
  all.forEach(({ edges, counts }, column) => {
    const total = counts.reduce((sum, n) => sum + n, 0) || 1;
    counts.forEach((n, i) => {
      const span = edges[i + 1] - edges[i];
      const first = Math.max(0, Math.floor((edges[i] - low) / width));
      const last = Math.min(bins - 1, Math.floor((edges[i + 1] - low) / width));
      for (let bin = first; bin <= last; bin++) {
        const from = Math.max(edges[i], low + bin * width);
        const to = Math.min(edges[i + 1], low + (bin + 1) * width);
        const share = span > 0 ? Math.max(0, to - from) / span : bin === first ? 1 : 0;
        z[bin][column] += (share * n) / total / width;
      }
    });
  });
  return { x: all.map((h) => h.step), y: z.map((_, i) => low + (i + 0.5) * width), z };
}

/**
 * A figure of plotly without whatever could load, link or act: only traces that can be drawn here, plain layout.
 * @param {any} given
 * @returns {{data: any[], layout: Record<string, any>, missing: string[]}}
 */
export function safeFigure(given) {
  const missing = new Set();
  const data = [];
  for (const trace of Array.isArray(given?.data) ? given.data : []) {
    if (!trace || typeof trace !== "object") continue;
    const type = trace.type === "scattergl" ? "scatter" : (trace.type ?? "scatter");
    if (!TRACES.has(type)) missing.add(String(type).slice(0, 40));
    // Without a gap Plotly draws cells as one picture with an inline style, and a scale of colours with one, which the
    // content policy refuses: the panel has a scale of its own.
    else {
      const made = { ...(/^(heatmap|histogram2d)$/.test(type) ? { xgap: 0.01 } : {}), .../** @type {Record<string, any>} */ (safe(trace, 0)), type, showscale: false };
      if (made.marker && typeof made.marker === "object") made.marker.showscale = false;
      data.push(made);
    }
  }
  const layout = /** @type {Record<string, any>} */ (safe(given?.layout ?? {}, 0)) ?? {};
  for (const name of ["images", "updatemenus", "sliders", "template", "width", "height", "autosize", "mapbox", "map", "geo"]) delete layout[name];
  for (const [name, axis] of Object.entries(layout)) if (name.startsWith("coloraxis") && axis && typeof axis === "object") axis.showscale = false;
  return { data, layout, missing: [...missing] };
}

/**
 * The scale of colours of a drawn figure: its least and greatest value and its colours from one to the other; or null.
 * @param {{_fullLayout?: any, _fullData?: any[]}} drawn
 * @returns {{low: number, high: number, colours: string[]} | null}
 */
export function scaleOf(drawn) {
  const axis = drawn._fullLayout?.coloraxis;
  const trace = drawn._fullData?.find((one) => Array.isArray(one.colorscale) && Number.isFinite(one.zmin));
  const [low, high, scale] = axis ? [axis.cmin, axis.cmax, axis.colorscale] : trace ? [trace.zmin, trace.zmax, trace.colorscale] : [];
  if (!Array.isArray(scale) || !Number.isFinite(low) || !Number.isFinite(high)) return null;
  return { low, high, colours: scale.map(([at, colour]) => `${colour} ${100 * at}%`) };
}

/**
 * @param {any} value
 * @param {number} depth
 * @returns {any}
 */
function safe(value, depth) {
  if (typeof value === "string") return value.includes("<") ? value.replace(TAG, "") : value;
  if (!value || typeof value !== "object") return typeof value === "function" ? null : value;
  if (depth > MOST_DEPTH) return null;
  if (Array.isArray(value)) return value.map((one) => safe(one, depth + 1));
  /** @type {Record<string, any>} */
  const found = {};
  for (const [name, one] of Object.entries(value)) {
    if (name === "__proto__" || name === "constructor") continue;
    if ((name === "source" || name === "href") && !PICTURE.test(String(one))) continue;
    found[name] = safe(one, depth + 1);
  }
  return found;
}

/**
 * Rows with these words in any cell, by this column; numbers by size, words by the alphabet, nothing last.
 * @param {any[][]} rows
 * @param {string} words
 * @param {{column: number, up: boolean} | null} order
 */
export function arranged(rows, words, order) {
  const wanted = words.trim().toLowerCase();
  const found = wanted ? rows.filter((row) => row.some((cell) => String(cell ?? "").toLowerCase().includes(wanted))) : [...rows];
  if (!order) return found;
  const { column, up } = order;
  return found.sort((a, b) => {
    const [x, y] = [a[column], b[column]];
    if (x === null || y === null) return x === y ? 0 : x === null ? 1 : -1;
    const by = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), undefined, { numeric: true });
    return up ? by : -by;
  });
}
