// @ts-check
// A chart as a file: what is drawn as PNG or SVG, its points as CSV.
import { TITLES } from "./axes.js";
import { literal, plotly } from "./plotly.js";

/** @typedef {import("./traces.js").Entry} Entry */

/**
 * The points as they are drawn: one line for each x, bins also with their least and greatest value.
 * @param {Entry[]} entries
 * @param {import("./axes.js").Axis} axis
 */
export function csvOf(entries, axis) {
  /** @type {string[]} */
  const head = [TITLES[axis]];
  /** @type {Map<number, string[]>} */
  const rows = new Map();
  for (const { label, line } of entries) {
    /** @type {[string, (number | null)[]][]} */
    const columns = [[label, line.y]];
    if (line.min && line.max) columns.push([`${label} (min)`, line.min], [`${label} (max)`, line.max]);
    for (const [name, values] of columns) {
      const place = head.push(name) - 1;
      line.x.forEach((x, i) => {
        const row = rows.get(x) ?? [];
        row[place] = values[i] === null ? (place === head.indexOf(label) ? (line.odd.find((o) => o.x === x)?.word ?? "") : "") : String(values[i]);
        rows.set(x, row);
      });
    }
  }
  const body = [...rows].sort((a, b) => a[0] - b[0]).map(([x, row]) => [String(x), ...head.slice(1).map((_, k) => row[k + 1] ?? "")].join(","));
  return [head.map(cell).join(","), ...body, ""].join("\r\n");
}

/** A name that a spreadsheet takes neither for several cells nor for a formula. @param {string} text */
function cell(text) {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** A name for a file out of the name of a metric. @param {string} title @param {string} ending */
export function fileName(title, ending) {
  return `${title.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|-+$/g, "").slice(0, 80) || "chart"}.${ending}`;
}

/** @param {string} name @param {Blob} blob */
export function save(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * @param {"png" | "svg"} format
 * @param {string} title
 * @param {object[]} data
 * @param {any} layout
 */
export async function picture(format, title, data, layout) {
  const Plotly = await plotly();
  const ground = getComputedStyle(document.documentElement).getPropertyValue("--s-surface").trim();
  const look = {
    ...layout, title: { text: literal(title), font: { size: 14 } }, showlegend: true, legend: { orientation: "h", y: -0.2 },
    margin: { l: 60, r: 20, t: 45, b: 60 }, paper_bgcolor: ground, plot_bgcolor: ground,
  };
  const named = data.map((trace) => ({ ...trace, name: literal(/** @type {any} */ (trace).name ?? "") }));
  const address = await Plotly.toImage({ data: named, layout: look }, { format, width: 1000, height: 560, scale: format === "png" ? 2 : 1 });
  return dataBlob(address);
}

/** The policy of the page lets no script fetch a data: address. @param {string} address */
function dataBlob(address) {
  const [head, body] = [address.slice(0, address.indexOf(",")), address.slice(address.indexOf(",") + 1)];
  const text = head.endsWith(";base64") ? atob(body) : decodeURIComponent(body);
  const bytes = head.endsWith(";base64") ? Uint8Array.from(text, (c) => c.charCodeAt(0)) : new TextEncoder().encode(text);
  return new Blob([bytes], { type: head.slice(5).split(";")[0] });
}
