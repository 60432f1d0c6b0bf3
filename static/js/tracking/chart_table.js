// @ts-check
// The points of a chart as a table, newest first.
import { TITLES } from "./axes.js";
import { format } from "./points.js";

const MOST_ROWS = 200;

/**
 * @param {string} title
 * @param {import("./traces.js").Entry[]} entries
 * @param {import("./axes.js").Axis} axis
 */
export function tableOf(title, entries, axis) {
  const table = document.createElement("table");
  table.className = "table table-sm";
  const { rows, count } = rowsOf(entries);
  const caption = table.createCaption();
  caption.textContent = count > rows.length ? `${title}: the last ${rows.length} of ${count} rows` : `${title}: ${count} rows`;
  const head = table.createTHead().insertRow();
  for (const text of [TITLES[axis], ...entries.map((entry) => entry.label)]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = text;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const [x, values] of rows) {
    const row = body.insertRow();
    const place = document.createElement("th");
    place.scope = "row";
    place.textContent = axis === "time" ? new Date(x * 1000).toLocaleString() : String(Number(x.toPrecision(9)));
    row.append(place);
    entries.forEach((_, k) => (row.insertCell().textContent = values[k] ?? ""));
  }
  return table;
}

/**
 * Words for each x, the newest first; `count` is how many there are in all.
 * @param {import("./traces.js").Entry[]} entries
 */
export function rowsOf(entries) {
  /** @type {Map<number, string[]>} */
  const found = new Map();
  entries.forEach(({ line }, k) => {
    const odd = new Map(line.odd.map((o) => [o.x, o.word]));
    line.x.forEach((x, i) => {
      const row = found.get(x) ?? [];
      const y = line.y[i];
      const [least, greatest] = [line.min?.[i], line.max?.[i]];
      const span = least != null && greatest != null && least < greatest ? ` (${format(least)} … ${format(greatest)})` : "";
      row[k] = `${y === null ? (odd.get(x) ?? "–") : format(y)}${span}`;
      found.set(x, row);
    });
  });
  const rows = [...found].sort((a, b) => b[0] - a[0]);
  return { rows: rows.slice(0, MOST_ROWS), count: rows.length };
}
