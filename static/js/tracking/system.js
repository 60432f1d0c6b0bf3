// @ts-check
// <system-charts>: what an attempt took of its machine, asked for again every few seconds while it goes on.
import { Chart, OPTIONS } from "./chart.js";
import { Crosshair, hearCrosshair } from "./crosshair.js";
import { lineOf } from "./points.js";

const EVERY_MS = 3000;

class SystemCharts extends HTMLElement {
  connectedCallback() {
    /** @type {Map<string, {chart: Chart, lines: Map<string, import("./points.js").Line>}>} */
    this.charts = new Map();
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.charts.get(/** @type {HTMLElement} */ (target).dataset.metric ?? "")?.chart.see(isIntersecting);
    }, { rootMargin: "200px" });
    this.themes = new MutationObserver(() => this.charts.forEach(({ chart }) => chart.touch()));
    this.themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    this.crosshair = new Crosshair(() => [...(this.charts?.values() ?? [])].map(({ chart }) => chart), () => {});
    hearCrosshair(this, this.crosshair);
    this.load();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    this.watcher?.disconnect();
    this.themes?.disconnect();
  }

  async load() {
    let settled = false;
    try {
      if (!document.hidden) {
        const response = await fetch(this.dataset.url ?? "", { credentials: "same-origin" });
        if (response.ok) {
          const found = await response.json();
          settled = found.settled;
          for (const one of found.charts) this.show(one);
        }
      }
    } catch {
      // The server is away for a moment: asked again like any other time.
    }
    if (!settled && this.isConnected) this.timer = setTimeout(() => this.load(), EVERY_MS);
  }

  /** @param {{title: string, series: any[]}} one */
  show({ title, series }) {
    let known = this.charts.get(title);
    const names = series.map((s) => s.name);
    if (!known) {
      this.querySelector(".chart-waiting")?.remove();
      const lines = new Map();
      known = { lines, chart: new Chart({ title, names }, [{ id: 0, name: "", lines }], { ...OPTIONS, x: "relative" }) };
      this.charts.set(title, known);
      this.append(known.chart.element);
      this.watcher?.observe(known.chart.element);
    }
    known.chart.group.names = names;
    for (const one of series) known.lines.set(one.name, lineOf(one));
    known.chart.touch();
  }
}

customElements.define("system-charts", SystemCharts);
