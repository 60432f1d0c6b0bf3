// @ts-check
// <chart-grid>: the charts of a run or of several, each loaded when it can be seen and then extended live.
//
// data-url of the series; data-run with data-cursor, the newest frame when the page was made, or runs="1,2,3" with names in
// data-names (JSON); data-mode overview or all; data-layout: id of the JSON with how they are arranged.
import { setCursor, subscribe } from "../live.js";
import { DEFAULTS, pinnedOf, shelves, withHidden, withMove, withPin, withSection } from "./arrangement.js";
import { served } from "./axes.js";
import { Chart, OPTIONS } from "./chart.js";
import { control, hearButton, hearFields, showFields } from "./chart_tools.js";
import { Crosshair, hearCrosshair } from "./crosshair.js";
import { LayoutStore } from "./layout_store.js";
import { marksOf } from "./marks.js";
import { grouped, isRate, portions } from "./names.js";
import { plotly } from "./plotly.js";
import { format, MOST_POINTS } from "./points.js";
import { RunSource } from "./run_source.js";
import { runsLegend } from "./runs_legend.js";
import { ShelfViews } from "./shelf_view.js";
import { pointOf } from "./talk.js";

const OVERVIEW_CHARTS = 4;
const RETRY_MS = 2000;
const LINES_A_REQUEST = 24;
const SEARCH_MS = 120;
const ENDS = new Set(["succeeded", "failed", "cancelled"]);

/** @typedef {import("./arrangement.js").Layout} Layout */

export class ChartGrid extends HTMLElement {
  connectedCallback() {
    this.isOverview = this.dataset.mode === "overview";
    const samples = Number(this.dataset.samples) || 1;
    const ids = (this.getAttribute("runs") ?? this.dataset.run ?? "").split(",").map(Number).filter(Boolean);
    const names = JSON.parse(this.dataset.names ?? "{}");
    this.sources = ids.map((id) => new RunSource(id, names[id] ?? `#${id}`, samples));
    this.lines = this.sources[0]?.lines ?? new Map();
    this.layout = this.readLayout();
    /** @type {Map<string, Chart>} */
    this.charts = new Map();
    /** @type {import("./names.js").Group[]} */
    this.groups = [];
    /** @type {import("./arrangement.js").Shelf[]} */
    this.shelves = [];
    this.asked = this.isOverview ? null : pointOf(location.search);
    this.options = { ...OPTIONS, talk: this.dataset.talk ?? "", zoom: /** @type {[number, number] | null} */ (null), marks: /** @type {import("./marks.js").Mark[]} */ ([]) };
    /** @type {import("./marks.js").Moment[]} */
    this.moments = [];
    this.tails = Boolean(control("abandoned")?.checked);
    this.turn = 0;
    /** @type {Set<string>} */
    this.wanted = new Set();
    this.search = "";
    this.watcher = new IntersectionObserver((entries) => {
      for (const entry of entries) this.charts.get(/** @type {HTMLElement} */ (entry.target).dataset.metric ?? "")?.see(entry.isIntersecting);
      if (this.crosshair?.pinned) this.crosshair.show(); // in those that come into sight as well
    }, { rootMargin: "200px" });
    this.themes = new MutationObserver(() => {
      this.showRuns();
      this.redraw();
    });
    this.themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    this.views = new ShelfViews(this, {
      card: (group) => this.card(group), again: () => this.arrange(), heads: !this.isOverview,
      fold: (key, open) => this.change(withSection(this.layout ?? DEFAULTS, key, open)),
    });
    this.crosshair = new Crosshair(() => this.charts?.values() ?? [], (pinned) => { if (control("unpin")) control("unpin").hidden = !pinned; });
    hearCrosshair(this, this.crosshair);
    this.addEventListener("zoom", (event) => this.zoom(/** @type {CustomEvent} */ (event).detail));
    this.useTools();
    this.showRuns();
    plotly().catch(() => {}); // while the first point is on its way; what fails is said when a chart is drawn
    void this.start();
  }

  /** What follows the page is heard from the beginning, while what was before is on its way. */
  async start() {
    const { cursor } = this.dataset;
    const hear = () => { this.ends = this.sources?.map((one) => subscribe(`run:${one.id}`, Number(cursor ?? one.feed.cursor), (message) => this.receive(one, message))); };
    if (cursor !== undefined) hear();
    if (cursor === "0") this.arrange(); // nothing was before
    else await this.load();
    if (cursor === undefined && this.isConnected) hear();
  }

  disconnectedCallback() {
    for (const end of this.ends ?? []) end();
    clearTimeout(this.retry);
    this.watcher?.disconnect();
    this.themes?.disconnect();
    this.store?.close();
  }

  /** The legend of several runs, in the colours of the theme that is on. */
  showRuns() {
    this.querySelector(":scope > .chart-runs")?.remove();
    if (this.sources && this.sources.length > 1) this.prepend(runsLegend(this.sources, () => this.redraw()));
  }

  /** @returns {Layout} */
  readLayout() {
    const text = document.getElementById(this.dataset.layout ?? "")?.textContent;
    return { ...DEFAULTS, ...JSON.parse(text ?? "{}") };
  }

  useTools() {
    if (this.isOverview) return;
    this.store = new LayoutStore(this.dataset.layoutUrl ?? "", this.dataset.token ?? "", (words) => this.say(words));
    this.layout = { .../** @type {Layout} */ (this.layout), ...this.store.unconfirmed() };
    this.applyLayout();
    hearFields((field, value) => {
      this.layout = { .../** @type {Layout} */ (this.layout), [field]: value };
      this.store?.keep(this.layout);
      this.applyLayout();
      if (field === "x") this.crosshair?.release();
      if (field === "x") this.zoom(null);
      else this.redraw();
    });
    hearButton("reset", () => this.zoom(null));
    hearButton("unpin", () => this.crosshair?.release());
    hearButton("layout-reset", async () => this.take(await this.store?.reset()));
    hearButton("layout-share", async () => { if (this.layout && (await this.store?.share(this.layout))) this.say("Members of the project who arranged nothing themselves now see the charts like this."); });
    control("seeds")?.addEventListener("change", () => { Object.assign(this.options ?? {}, { groups: control("seeds").checked ? JSON.parse(control("seeds").dataset.groups) : [] }); this.redraw(); });
    control("abandoned")?.addEventListener("change", () => { this.tails = control("abandoned").checked; this.reload(); });
    control("filter")?.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => { this.search = control("filter").value; this.arrange(); }, SEARCH_MS);
    });
  }

  applyLayout() {
    const layout = /** @type {Layout} */ (this.layout);
    showFields(layout);
    const x = control("x")?.value ?? layout.x;
    Object.assign(this.options ?? {}, { smoothing: layout.smoothing, logX: layout.log_x && x !== "time", logY: layout.log_y, x, clip: layout.clip, events: layout.events });
  }

  /** A layout from the server takes the place of this one. @param {Layout | null | undefined} layout */
  take(layout) {
    if (!layout) return;
    this.layout = { ...DEFAULTS, ...layout };
    this.applyLayout();
    this.arrange();
    this.zoom(null);
  }

  /** @param {Layout} layout */
  change(layout) {
    this.layout = layout;
    this.store?.keep(layout);
    this.arrange();
  }

  /**
   * Show a part of the x axis in all charts, with as many points as fit there; null for all of it, live.
   * @param {[number, number] | null} range
   */
  zoom(range) {
    if (this.options) this.options.zoom = range;
    if (control("reset")) control("reset").hidden = !range;
    this.reload();
  }

  /** Begin anew: which metrics there are, and the lines of the charts that can be seen. */
  async load() {
    const { turn, sources } = this.begin();
    for (const source of sources) source.feed.begin();
    await this.ask(null, turn, (source, found) => source.feed.loaded(found.cursor, found.fence));
  }

  /** The same metrics otherwise: another range or axis. */
  reload() {
    const { turn } = this.begin();
    if (this.isFew) return void this.ask(null, turn);
    this.needVisible();
  }

  begin() {
    clearTimeout(this.retry);
    for (const source of this.sources ?? []) source.stale();
    this.wanted?.clear();
    return { turn: (this.turn = (this.turn ?? 0) + 1), sources: this.sources ?? [] };
  }

  needVisible() {
    for (const chart of this.charts?.values() ?? []) if (chart.visible) this.need(chart.group.names);
  }

  /** A chart can be seen that needs these lines: all that are asked for in one moment travel together. @param {string[]} names */
  need(names) {
    const missing = names.filter((name) => this.sources?.some((source) => source.missing([name]).length));
    if (!missing.length || !this.wanted) return;
    if (!this.wanted.size) {
      const turn = this.turn;
      queueMicrotask(() => {
        if (turn !== this.turn) return;
        const most = Math.max(1, Math.floor(LINES_A_REQUEST / (this.sources?.length || 1)));
        const all = portions([...(this.wanted ?? [])], most);
        this.wanted?.clear();
        for (const some of all) this.ask(some, /** @type {number} */ (turn));
      });
    }
    for (const name of missing) this.wanted.add(name);
  }

  /**
   * @param {string[] | null} names null: those of a run with few, and which there are
   * @param {number} turn
   * @param {(source: RunSource, found: any) => import("./feed.js").Frame[] | null} [follow] frames that come after the answer
   */
  async ask(names, turn, follow) {
    const sources = this.sources ?? [];
    const requests = sources.map((source) => source.request(names));
    const axis = this.options?.x ?? "step";
    const { scale } = served(axis, sources[0]?.samples ?? 1);
    try {
      const response = await fetch(this.address(names), { credentials: "same-origin" });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      const found = await response.json();
      if (turn !== this.turn) return;
      const answers = found.runs ?? [found];
      if (found.marks) this.moments = found.marks;
      if (!names) this.isFew = answers.every((/** @type {any} */ one) => one.few);
      answers.forEach((/** @type {any} */ one, /** @type {number} */ i) => sources[i].arrived(requests[i], one, axis, scale));
      answers.forEach((/** @type {any} */ one, /** @type {number} */ i) => {
        if (!follow) return;
        setCursor(`run:${sources[i].id}`, one.cursor);
        this.add(sources[i], follow(sources[i], one));
      });
      this.markUp();
      this.querySelector(".chart-waiting")?.remove();
      if (!names) this.arrange();
      if (!names) this.needVisible();
      if (!names) this.pointOut();
      this.redraw(names ?? undefined);
    } catch (error) {
      if (turn !== this.turn) return;
      requests.forEach((request, i) => sources[i].requests.delete(request));
      this.say(`The charts could not be loaded (${/** @type {Error} */ (error).message}). Trying again.`);
      clearTimeout(this.retry);
      this.retry = setTimeout(() => (follow || !names ? this.load() : this.needVisible()), RETRY_MS);
    }
  }

  /** @param {string[] | null} names */
  address(names) {
    const url = new URL(this.dataset.url ?? "", location.href);
    const many = this.hasAttribute("runs");
    const { x, scale } = served(this.options?.x ?? "step", this.sources?.[0]?.samples ?? 1);
    url.searchParams.set("x", x);
    this.options?.zoom?.forEach((end, i) => url.searchParams.set(i ? "to" : "from", String(end / scale)));
    if (this.tails && !many) url.searchParams.set("abandoned", "1");
    if (many) {
      for (const source of this.sources ?? []) url.searchParams.append("run", String(source.id));
      url.searchParams.set("width", "600");
    }
    if (names) for (const name of names) url.searchParams.append("metrics", name);
    else url.searchParams.set("few", "1");
    return url;
  }

  /** Once, the point that the address names: its chart in sight, and the crosshair pinned there. */
  pointOut() {
    const { asked } = this;
    if (!asked || !this.charts?.size) return;
    this.asked = null;
    const find = () => [...(this.charts?.values() ?? [])].find((one) => one.group.names.includes(asked.metric));
    if (!find() && control("filter")) {
      this.search = control("filter").value = asked.metric; // in a folded section, or hidden
      this.arrange();
    }
    if (this.options?.x === "step") this.crosshair?.toggle(asked.step);
    find()?.element.scrollIntoView({ block: "center" });
  }

  /** What charts point out, along the axis that is on. */
  markUp() {
    const { options, sources = [] } = this;
    if (!options) return;
    const rate = sources.length === 1 ? [...sources[0].lines.values()].find((line) => isRate(line.name)) : undefined;
    options.marks = marksOf(this.moments ?? [], served(options.x, sources[0]?.samples ?? 1).scale, rate, format);
  }

  /** @param {RunSource} source @param {import("../live.js").Message} message */
  receive(source, message) {
    if (message.op === "reset") this.load();
    else if (message.t === "s" && ENDS.has(message.d?.state) && !this.dataset.settled) {
      this.dataset.settled = "1";
      // Its best checkpoint is known now. Of several runs none is pointed out, and they may have ended long ago.
      if (this.groups?.length && !this.hasAttribute("runs")) this.load();
    }
    if (message.t === "s" && !this.groups?.length && !source.feed.loading) this.arrange();
    if (message.t !== "m") return;
    source.hold(message.frames ?? []);
    this.add(source, source.feed.take(message.frames ?? []));
  }

  /** @param {RunSource} source @param {import("./feed.js").Frame[] | null} frames null when the series must be loaded again */
  add(source, frames) {
    if (!frames) return void this.load();
    let fresh = false;
    let newest = 0;
    const touched = new Set();
    for (const frame of frames) {
      const begun = source.discover(frame);
      fresh ||= begun.length > 0;
      if (this.options?.zoom) continue; // what comes meanwhile is there when all is shown again
      for (const name of begun) source.begin(name, frame.c - 1);
      newest = Math.max(newest, ...frame.times);
      for (const name of source.extend(frame, this.options?.x ?? "step")) touched.add(name);
    }
    if ([...touched].some((name) => (source.lines.get(name)?.x.length ?? 0) > MOST_POINTS)) return void this.load();
    if (fresh) this.arrange();
    if ([...touched].some(isRate)) this.markUp();
    for (const chart of this.charts?.values() ?? []) if (chart.group.names.some((name) => touched.has(name))) chart.touch(newest);
  }

  arrange() {
    const names = new Set((this.sources ?? []).flatMap((source) => [...source.known]));
    if (names.size !== this.count) this.groups = grouped(names);
    this.count = names.size;
    const { groups = [], layout = DEFAULTS } = this;
    if (!groups.length) return this.say(this.dataset.settled ? "This run logged no metrics." : "Waiting for the first step.");
    this.querySelector(".chart-waiting")?.remove();
    const page = { objective: this.dataset.objective ?? "", search: this.search };
    this.shelves = this.isOverview ? this.first(groups, page) : shelves(groups, layout, page);
    const shown = /** @type {ShelfViews} */ (this.views).show(this.shelves);
    for (const [title, chart] of this.charts ?? []) {
      if (shown.has(title)) continue;
      this.watcher?.unobserve(chart.element);
      this.charts?.delete(title);
      void chart.drop();
    }
  }

  /** The overview: what a page opens with, filled up. @param {import("./names.js").Group[]} groups @param {{objective: string}} page */
  first(groups, page) {
    const top = new Set(pinnedOf(groups, DEFAULTS, page.objective));
    const charts = [...groups.filter((group) => top.has(group.title)), ...groups.filter((group) => !top.has(group.title))].slice(0, OVERVIEW_CHARTS);
    return [{ key: "pinned", title: "", open: true, folds: false, charts }];
  }

  /** The chart of a group, made when it is wanted first. @param {import("./names.js").Group} group */
  card(group) {
    let chart = this.charts?.get(group.title);
    if (chart) chart.group = group;
    else {
      const page = { level: this.isOverview ? 2 : 3, arranges: this.isOverview ? null : this.arranges(), need: (/** @type {string[]} */ names) => this.need(names) };
      chart = new Chart(group, this.sources ?? [], /** @type {any} */ (this.options), page);
      this.charts?.set(group.title, chart);
      this.watcher?.observe(chart.element);
    }
    return chart.element;
  }

  /** @returns {import("./chart_parts.js").Arranges} */
  arranges() {
    const now = () => pinnedOf(this.groups ?? [], this.layout ?? DEFAULTS, this.dataset.objective ?? "");
    const kept = () => this.layout ?? DEFAULTS;
    return {
      pin: (title) => this.change(withPin(kept(), now(), title)),
      hide: (title) => this.change(withHidden(kept(), title)),
      place: (title) => ({ pinned: now().includes(title), hidden: kept().hidden.includes(title) }),
      move: (title, by) => {
        const shelf = this.shelves?.find((one) => one.charts.some((chart) => chart.title === title));
        const layout = shelf && withMove(kept(), shelf, title, by);
        if (layout) this.change(layout);
        /** @type {HTMLElement | null | undefined} */ (this.charts?.get(title)?.element.querySelector("[data-bs-toggle]"))?.focus();
      },
    };
  }

  /** @param {string[]} [names] only charts with one of these */
  redraw(names) {
    const some = names && new Set(names);
    for (const chart of this.charts?.values() ?? []) if (!some || chart.group.names.some((name) => some.has(name))) chart.touch();
  }

  /** @param {string} text */
  say(text) {
    let line = this.querySelector(".chart-waiting");
    if (!line) {
      line = document.createElement("p");
      line.className = "text-secondary chart-waiting";
      line.setAttribute("role", "status");
      this.prepend(line);
    }
    line.textContent = text;
  }
}

customElements.define("chart-grid", ChartGrid);
