// @ts-check
// <chart-grid>: the charts of one run, loaded once and then extended live from the cursor.
import { setCursor, subscribe } from "../live.js";
import { Chart } from "./chart.js";
import { Feed } from "./feed.js";
import { plotly } from "./plotly.js";
import { extend, grouped, lineOf, MOST_POINTS } from "./points.js";

const OVERVIEW_CHARTS = 4;
const RETRY_MS = 2000;
const ENDS = new Set(["succeeded", "failed", "cancelled"]);

class ChartGrid extends HTMLElement {
  connectedCallback() {
    this.lines = new Map();
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    const tails = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-chart-abandoned]"));
    this.options = {
      tails: Boolean(tails?.checked), smoothing: 0, log: false, x: /** @type {"step" | "epoch" | "relative"} */ ("step"),
      zoom: /** @type {[number, number] | null} */ (null), marks: /** @type {import("./plotly.js").Mark[]} */ ([]),
    };
    /** @type {number | null} seconds of the first point */
    this.start = null;
    this.feed = new Feed();
    this.loads = 0;
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) this.charts.get(/** @type {HTMLElement} */ (entry.target).dataset.metric ?? "")?.see(entry.isIntersecting);
    }, { rootMargin: "200px" });
    this.onTheme = () => this.redraw();
    this.themes = new MutationObserver(this.onTheme);
    this.themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    this.tools();
    this.addEventListener("zoom", (event) => this.zoom(/** @type {CustomEvent} */ (event).detail));
    plotly().catch(() => {}); // while the first point is on its way; what fails is said when a chart is drawn
    this.load().then(() => {
      this.unsubscribe = subscribe(`run:${this.dataset.run}`, this.feed.cursor, (message) => this.receive(message));
    });
  }

  disconnectedCallback() {
    this.unsubscribe?.();
    clearTimeout(this.retry);
    this.watcher?.disconnect();
    this.themes?.disconnect();
  }

  tools() {
    const on = (/** @type {string} */ name, /** @type {string} */ event, /** @type {(input: HTMLInputElement) => void} */ act) => {
      const input = /** @type {HTMLInputElement | null} */ (document.querySelector(`[data-chart-${name}]`));
      input?.addEventListener(event, () => act(input));
    };
    on("smoothing", "input", (input) => { this.options.smoothing = Number(input.value); this.redraw(); });
    on("log", "change", (input) => { this.options.log = input.checked; this.redraw(); });
    on("x", "change", (input) => { this.options.x = /** @type {any} */ (input.value); this.zoom(null); });
    on("reset", "click", () => this.zoom(null));
    on("abandoned", "change", (input) => { this.options.tails = input.checked; this.load(); });
    on("filter", "input", (input) => this.filter(input.value));
  }

  /**
   * Show a part of the x axis in all charts, with as many points as fit there; null for all of it, live.
   * @param {[number, number] | null} range
   */
  zoom(range) {
    this.options.zoom = range;
    const reset = /** @type {HTMLElement | null} */ (document.querySelector("[data-chart-reset]"));
    if (reset) reset.hidden = !range;
    this.load();
  }

  async load() {
    const turn = ++this.loads;
    clearTimeout(this.retry);
    this.feed.begin();
    const url = new URL(this.dataset.url ?? "", location.href);
    url.searchParams.set("x", this.options.x);
    if (this.options.zoom) this.options.zoom.forEach((end, i) => url.searchParams.set(i ? "to" : "from", String(end)));
    if (this.options.tails) url.searchParams.set("abandoned", "1");
    try {
      const response = await fetch(url, { credentials: "same-origin" });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const found = await response.json();
      if (turn !== this.loads) return;
      this.start = found.start;
      this.options.marks = found.marks ?? [];
      this.lines.clear();
      for (const series of found.series) this.lines.set(series.name, lineOf(series));
      for (const tail of found.abandoned ?? []) {
        const line = this.lines.get(tail.name) ?? lineOf({ name: tail.name, x: [], last: [] });
        (line.tails ??= []).push({ fence: tail.fence, ...lineOf(tail) });
        this.lines.set(tail.name, line);
      }
      setCursor(`run:${this.dataset.run}`, found.cursor);
      this.add(this.feed.loaded(found.cursor, found.fence));
      this.arrange();
      this.redraw();
    } catch (error) {
      if (turn !== this.loads) return;
      this.say(`The charts could not be loaded (${/** @type {Error} */ (error).message}). Trying again.`);
      this.retry = setTimeout(() => this.load(), RETRY_MS);
    }
  }

  /** @param {import("../live.js").Message} message */
  receive(message) {
    if (message.op === "reset") this.load();
    else if (message.t === "s" && ENDS.has(message.d?.state) && !this.dataset.settled) {
      this.dataset.settled = "1";
      if (this.lines.size) this.load(); // its best checkpoint is known now
    }
    if (message.t === "s" && !this.lines.size && !this.feed.loading) this.arrange();
    if (message.t === "m") this.add(this.feed.take(message.frames ?? []));
  }

  /** @param {import("./feed.js").Frame[] | null} frames null when the series must be loaded again */
  add(frames) {
    if (!frames) return void this.load();
    if (this.options.zoom) return; // what comes meanwhile is there when all is shown again
    let fresh = false;
    let crowded = false;
    let newest = 0;
    const touched = new Set();
    for (const frame of frames) {
      this.start ??= frame.times[0];
      fresh = extend(this.lines, frame, this.options.x, this.start).length > 0 || fresh;
      newest = Math.max(newest, ...frame.times);
      for (const name of frame.names) {
        touched.add(name);
        crowded ||= (this.lines.get(name)?.x.length ?? 0) > MOST_POINTS;
      }
    }
    if (crowded) return void this.load();
    if (fresh) this.arrange();
    for (const chart of this.charts.values()) if (chart.group.names.some((n) => touched.has(n))) chart.touch(newest);
  }

  arrange() {
    let groups = grouped(this.lines.keys());
    if (this.dataset.mode === "overview") groups = groups.slice(0, OVERVIEW_CHARTS);
    if (!groups.length) return this.say(this.dataset.settled ? "This run logged no metrics." : "Waiting for the first step.");
    this.querySelector(".chart-waiting")?.remove();
    let section = "";
    for (const group of groups) {
      const chart = this.charts.get(group.title);
      if (chart) {
        chart.group = group;
        continue;
      }
      if (group.section && group.section !== section && this.dataset.mode !== "overview") {
        const heading = document.createElement("h2");
        heading.className = "chart-section";
        heading.textContent = group.section;
        this.append(heading);
      }
      section = group.section;
      const made = new Chart(group, this.lines, this.options);
      this.charts.set(group.title, made);
      this.append(made.element);
      this.watcher?.observe(made.element);
    }
  }

  redraw() {
    for (const chart of this.charts?.values() ?? []) chart.touch();
  }

  /** @param {string} text */
  filter(text) {
    const wanted = text.trim().toLowerCase();
    for (const chart of this.charts.values()) chart.element.hidden = !chart.group.names.some((n) => n.toLowerCase().includes(wanted));
  }

  /** @param {string} text */
  say(text) {
    let element = this.querySelector(".chart-waiting");
    if (!element) {
      element = document.createElement("p");
      element.className = "text-secondary chart-waiting";
      this.prepend(element);
    }
    element.textContent = text;
  }
}

customElements.define("chart-grid", ChartGrid);
