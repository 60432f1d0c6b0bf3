// @ts-check
// One chart: lines of some metrics, drawn only while it can be seen.
import { painter } from "./painter.js";
import { format, smooth } from "./points.js";
import { COLOURS, CONFIG, DASHES, layout, plotly } from "./plotly.js";

const AXES = { step: "step", epoch: "epoch", relative: "seconds" };

/** @typedef {import("./points.js").Line} Line */

export class Chart {
  /**
   * @param {{title: string, names: string[]}} group
   * @param {Map<string, Line>} lines
   * @param {{smoothing: number, log: boolean, x: "step" | "epoch" | "relative", zoom?: [number, number] | null, marks?: import("./plotly.js").Mark[]}} options shared by all charts of a page
   */
  constructor(group, lines, options) {
    this.group = group;
    this.lines = lines;
    this.options = options;
    this.visible = false;
    this.dirty = true;
    this.newest = 0;
    this.revision = 0;
    this.hears = false;
    /** For `painter.ask`. */
    this.paint = () => this.draw();
    this.element = this.build();
  }

  build() {
    const card = document.createElement("section");
    card.className = "chart-card";
    card.dataset.metric = this.group.title;
    const head = document.createElement("div");
    head.className = "chart-head";
    const title = document.createElement("h2");
    title.className = "chart-title";
    title.textContent = this.group.title;
    this.now = document.createElement("span");
    this.now.className = "chart-now";
    head.append(title, this.now);
    this.legend = document.createElement("div");
    this.legend.className = "chart-legend";
    this.plot = document.createElement("div");
    this.plot.className = "chart-plot";
    this.plot.setAttribute("role", "img");
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "View as table";
    this.table = document.createElement("div");
    this.table.className = "chart-table";
    this.table.tabIndex = 0; // it scrolls
    this.table.setAttribute("role", "region");
    this.table.setAttribute("aria-label", `${this.group.title} as a table`);
    details.append(summary, this.table);
    details.addEventListener("toggle", () => details.open && this.fillTable());
    card.append(head, this.legend, this.plot, details);
    return card;
  }

  /** @param {number} [time] wall time in seconds of the newest point */
  touch(time) {
    this.dirty = true;
    if (time && time > this.newest) this.newest = time;
    if (this.visible) painter.ask(this.paint);
  }

  /** @param {boolean} visible */
  see(visible) {
    this.visible = visible;
    if (visible && this.dirty) this.touch();
  }

  async draw() {
    this.dirty = false;
    const { Plotly, newest } = { Plotly: await plotly(), newest: this.newest };
    // Lines grow in place: without a new revision Plotly takes them for unchanged and draws nothing.
    const datarevision = ++this.revision;
    await Plotly.react(this.plot, this.traces(), { ...layout({ ...this.options, x: AXES[this.options.x] }), datarevision }, CONFIG);
    this.hearZoom();
    this.describe();
    this.element.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: { newest } }));
  }

  /** A part of the x axis that was chosen by hand becomes a `zoom` event, whose detail is the range or null. */
  hearZoom() {
    if (this.hears) return;
    this.hears = true;
    /** @type {any} */ (this.plot).on("plotly_relayout", (/** @type {any} */ change) => {
      const [from, to] = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      const detail = change["xaxis.autorange"] || from === undefined ? null : [Number(from), Number(to)];
      if (detail || change["xaxis.autorange"]) this.element.dispatchEvent(new CustomEvent("zoom", { bubbles: true, detail }));
    });
  }

  traces() {
    /** @type {object[]} */
    const traces = [];
    this.group.names.forEach((name, i) => {
      const line = this.lines.get(name);
      if (!line) return;
      const color = COLOURS[i % COLOURS.length];
      const short = line.x.length < 3;
      for (const tail of line.tails ?? []) {
        traces.push({
          x: tail.x, y: tail.y, name: `${name}, attempt ${tail.fence}`, mode: tail.x.length < 3 ? "lines+markers" : "lines",
          line: { color, width: 1.4, dash: "dot" }, marker: { size: 4, color }, opacity: 0.4, hovertemplate: "%{y:.5g} (abandoned)",
        });
      }
      if (line.min && line.max) {
        const band = { mode: "lines", line: { width: 0 }, hoverinfo: "skip", x: line.x };
        traces.push({ ...band, y: line.min }, { ...band, y: line.max, fill: "tonexty", fillcolor: `${color}26` });
      }
      if (this.options.smoothing) traces.push({ x: line.x, y: line.y, mode: "lines", line: { color, width: 1 }, opacity: 0.3, hoverinfo: "skip" });
      const y = smooth(line.y, this.options.smoothing);
      traces.push({
        x: line.x, y, name, mode: short ? "lines+markers" : "lines", connectgaps: false,
        line: { color, width: 1.8, dash: DASHES[i % DASHES.length] }, marker: { size: 5 },
        hovertemplate: "%{y:.5g}",
      });
      if (line.odd.length) {
        const known = line.y.filter((v) => v !== null);
        const level = known.length ? Math.min(.../** @type {number[]} */ (known.slice(-500))) : 0;
        traces.push({
          x: line.odd.map((o) => o.x), y: line.odd.map(() => level), text: line.odd.map((o) => o.word), name: `${name} not finite`,
          mode: "markers", marker: { symbol: "x", size: 9, color: "#b42318" }, hovertemplate: "%{text}",
        });
      }
    });
    return traces;
  }

  describe() {
    const parts = this.group.names.map((name) => {
      const line = this.lines.get(name);
      return line ? { name, count: line.x.length, x: line.x[line.x.length - 1], y: line.y[line.y.length - 1] } : null;
    });
    const known = parts.filter((p) => p !== null);
    const count = known.reduce((sum, p) => sum + p.count, 0);
    this.element.dataset.points = String(count);
    this.element.dataset.lastStep = String(Math.max(...known.map((p) => p.x ?? 0)));
    if (this.now) this.now.textContent = known.map((p) => format(p.y)).join(" · ");
    if (this.legend && this.legend.childElementCount !== known.length) {
      this.legend.replaceChildren(
        ...known.map((p, i) => {
          const span = document.createElement("span");
          span.className = `series-${i % 4}`;
          span.textContent = p.name;
          return span;
        }),
      );
    }
    this.plot?.setAttribute("aria-label", `${this.group.title}: ${known.map((p) => `${p.name} is ${format(p.y)} after ${p.x}`).join(", ")}`);
  }

  fillTable() {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const text of [AXES[this.options.x], ...this.group.names]) {
      const cell = document.createElement("th");
      cell.textContent = text;
      head.append(cell);
    }
    const rows = new Map();
    this.group.names.forEach((name, k) => {
      const line = this.lines.get(name);
      line?.x.slice(-200).forEach((x, i) => {
        const at = line.x.length - Math.min(200, line.x.length) + i;
        const row = rows.get(x) ?? [];
        row[k] = line.y[at] ?? line.odd.find((o) => o.x === x)?.word;
        rows.set(x, row);
      });
    });
    const body = table.createTBody();
    for (const [x, values] of [...rows].sort((a, b) => b[0] - a[0]).slice(0, 200)) {
      const row = body.insertRow();
      row.insertCell().textContent = String(Number(x.toPrecision(6)));
      this.group.names.forEach((_, k) => (row.insertCell().textContent = typeof values[k] === "string" ? values[k] : format(values[k])));
    }
    this.table?.replaceChildren(table);
  }
}
