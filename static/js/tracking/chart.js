// @ts-check
// One chart: lines of some metrics, drawn only while it can be seen.
import { drawn, read, words } from "./axes.js";
import { csvOf, fileName, picture, save } from "./chart_files.js";
import { element, fillLegend, framePart, head, tablePart } from "./chart_parts.js";
import { tableOf } from "./chart_table.js";
import { clipped, clipWords } from "./clip.js";
import { swatch, theme } from "./colours.js";
import { nearest, valueAt } from "./crosshair.js";
import { corners, paintLines } from "./crowd.js";
import { showFull } from "./full_size.js";
import { markAt } from "./marks.js";
import { painter } from "./painter.js";
import { CONFIG, layout, plotly } from "./plotly.js";
import { format } from "./points.js";
import { byGroup } from "./seeds.js";
import { talkAt } from "./talk.js";
import { entries, isCrowded, tails, traces } from "./traces.js";

const MOST_READOUT = 14;
const MOST_LEGEND = 12;
const CLICK_PX = 4;

/** @typedef {import("./traces.js").Source} Source */
/**
 * @typedef {{smoothing: number, logX: boolean, logY: boolean, x: import("./axes.js").Axis, clip: import("./clip.js").Clip,
 *   events: boolean, zoom?: [number, number] | null, marks?: import("./marks.js").Mark[], groups?: number[][], talk?: string}} Options shared by all charts of a page; of `groups` of runs the means are drawn, `talk` is where points are commented on
 */
/** @type {Options} */
export const OPTIONS = { smoothing: 0, logX: false, logY: false, x: "step", clip: "none", events: true };

export class Chart {
  /**
   * @param {{title: string, names: string[]}} group
   * @param {Source[]} sources
   * @param {Options} options
   * @param {{level?: number, arranges?: import("./chart_parts.js").Arranges | null, need?: (names: string[]) => void}} [page]
   */
  constructor(group, sources, options, { level = 2, arranges = null, need = () => {} } = {}) {
    this.group = group;
    this.sources = sources;
    this.options = options;
    this.need = need;
    this.visible = false;
    this.dirty = true;
    this.newest = 0;
    this.revision = 0;
    this.hears = false;
    /** For `painter.ask`. */
    this.paint = () => this.draw();
    this.element = this.build(level, arranges);
  }

  /** @param {number} level @param {import("./chart_parts.js").Arranges | null} arranges */
  build(level, arranges) {
    const { title } = this.group;
    const card = element("section", "chart-card");
    card.dataset.metric = title;
    this.legend = element("div", "chart-legend");
    const { frame, plot, canvas, cross, readout } = framePart(title);
    Object.assign(this, { frame, plot, canvas, cross, readout });
    this.note = element("p", "chart-note");
    this.note.hidden = true;
    const { details, table } = tablePart(title);
    this.table = table;
    this.details = details;
    details.addEventListener("toggle", () => details.open && this.fillTable());
    card.append(head(title, level, { full: () => showFull(this), save: (kind) => this.save(kind), arranges }), this.legend, frame, this.note, details);
    this.hearPointer(frame);
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
    if (!visible) return;
    this.need(this.group.names);
    if (this.dirty) this.touch();
  }

  /** The lines that have come. */
  entries() {
    const { names } = this.group;
    return entries(names, byGroup(this.sources, this.options.groups ?? [], names), theme());
  }

  async draw() {
    this.dirty = false;
    const found = this.entries();
    if (!found.length) return;
    const { Plotly, newest } = { Plotly: await plotly(), newest: this.newest };
    const left = clipped(found.map((entry) => entry.line), this.options.clip, this.options.logY);
    // Lines grow in place: without a new revision Plotly takes them for unchanged and draws nothing.
    const datarevision = ++this.revision;
    const { options } = this;
    this.crowd = isCrowded(found) ? found : null;
    const data = this.crowd ? [...corners(found, options), ...found.flatMap((entry) => tails(entry, options))] : traces(found, options);
    await Plotly.react(this.plot, data, { ...layout(options, left?.range), datarevision }, CONFIG);
    this.hearZoom();
    this.paintCrowd();
    if (this.note) {
      this.note.hidden = !left;
      this.note.textContent = clipWords(left, this.options.clip);
    }
    this.describe(found);
    this.point(this.at ?? null, this.pinned ?? false); // its place on the screen may be another one
    this.element.dispatchEvent(new CustomEvent("drawn", { bubbles: true, detail: { newest } }));
  }

  /** Fill the room that it has now. */
  async fit() {
    if (!(/** @type {any} */ (this.plot)?._fullLayout)) return;
    await (await plotly()).Plots.resize(this.plot);
    this.paintCrowd();
    this.point(this.at ?? null, this.pinned ?? false);
  }

  /** The lines of a crowded chart, where the axes are now. */
  paintCrowd() {
    const axes = /** @type {any} */ (this.plot)?._fullLayout;
    if (!this.canvas) return;
    this.canvas.hidden = !this.crowd;
    if (this.crowd && axes) paintLines(this.canvas, axes, this.crowd, this.options);
  }

  /** Let go of what Plotly holds. */
  async drop() {
    this.visible = false;
    if (/** @type {any} */ (this.plot)?._fullLayout) (await plotly()).purge(this.plot);
  }

  /** A part of the x axis that was chosen by hand becomes a `zoom` event, whose detail is the range or null. */
  hearZoom() {
    if (this.hears) return;
    this.hears = true;
    for (const moved of ["plotly_relayout", "plotly_relayouting"]) /** @type {any} */ (this.plot).on(moved, () => this.paintCrowd());
    /** @type {any} */ (this.plot).on("plotly_relayout", (/** @type {any} */ change) => {
      const ends = [change["xaxis.range[0]"], change["xaxis.range[1]"]];
      const all = change["xaxis.autorange"] || ends[0] === undefined;
      const detail = all ? null : ends.map((end) => read(end, this.options.x, this.options.logX));
      if (detail || change["xaxis.autorange"]) this.element.dispatchEvent(new CustomEvent("zoom", { bubbles: true, detail }));
    });
  }

  /** @param {HTMLElement} frame */
  hearPointer(frame) {
    const tell = (/** @type {string} */ name, /** @type {number | null} */ detail) => this.element.dispatchEvent(new CustomEvent(name, { bubbles: true, detail }));
    frame.addEventListener("pointermove", (event) => tell("cross", this.placeOf(event.clientX)));
    frame.addEventListener("pointerleave", () => tell("cross", null));
    const isLink = (/** @type {Event} */ event) => /** @type {Element} */ (event.target).closest("a") !== null;
    frame.addEventListener("pointerdown", (down) => {
      if (isLink(down)) return;
      addEventListener("pointerup", (up) => {
        const x = this.placeOf(up.clientX);
        if (x !== null && Math.hypot(up.clientX - down.clientX, up.clientY - down.clientY) < CLICK_PX) tell("pin", x);
      }, { once: true });
    });
    frame.addEventListener("blur", () => this.readout?.removeAttribute("aria-live"));
    frame.addEventListener("keydown", (event) => {
      if (isLink(event) && event.key !== "Escape") return;
      const x = this.stepTo(event.key, event.shiftKey ? 10 : 1);
      // Keys may come faster than pictures: the next one begins where this one leads.
      if ((event.key === "Enter" || event.key === " ") && this.at != null) {
        tell("pin", this.at);
        this.pinned = !this.pinned;
      } else if (event.key === "Escape" && this.at != null) {
        tell("release", null);
        this.at = null;
        this.pinned = false;
      } else if (x !== null) {
        tell("cross", x);
        if (!this.pinned) this.at = x;
      } else return;
      this.readout?.setAttribute("aria-live", "polite");
      event.preventDefault();
      event.stopPropagation();
    });
  }

  /** Where a key leads from here; null for other keys. @param {string} key @param {number} by */
  stepTo(key, by) {
    const longest = this.entries().reduce((/** @type {number[]} */ xs, { line }) => (line.x.length > xs.length ? line.x : xs), []);
    if (!longest.length) return null;
    const last = longest.length - 1;
    const here = this.at == null ? last + 1 : nearest(longest, this.at);
    const to = { ArrowLeft: here - by, ArrowRight: here + by, Home: 0, End: last }[key];
    return to === undefined ? null : longest[Math.max(0, Math.min(last, to))];
  }

  /** The x below the pointer, null beside the plot. @param {number} clientX */
  placeOf(clientX) {
    const axis = /** @type {any} */ (this.plot)?._fullLayout?.xaxis;
    if (!axis || !this.plot) return null;
    const at = clientX - this.plot.getBoundingClientRect().left - axis._offset;
    return at < 0 || at > axis._length ? null : read(axis.p2d(at), this.options.x, false);
  }

  /**
   * Show the crosshair and the values there; null shows none.
   * @param {number | null} x
   * @param {boolean} pinned
   */
  point(x, pinned) {
    const axis = /** @type {any} */ (this.plot)?._fullLayout?.xaxis;
    const { cross, readout } = this;
    if (!cross || !readout) return;
    const at = x === null || !axis ? NaN : axis.d2p(drawn(x, this.options.x));
    this.at = x;
    this.pinned = pinned;
    cross.hidden = readout.hidden = !(at >= 0 && at <= axis?._length);
    if (cross.hidden || x === null) return;
    cross.classList.toggle("is-pinned", pinned);
    cross.style.transform = `translateX(${axis._offset + at}px)`;
    readout.classList.toggle("is-pinned", pinned);
    readout.classList.toggle("is-left", at > axis._length / 2);
    this.read(readout, x, axis, pinned);
  }

  /** @param {HTMLElement} readout @param {number} x @param {any} axis @param {boolean} pinned */
  read(readout, x, axis, pinned) {
    const values = this.entries().flatMap((entry) => {
      const found = valueAt(entry.line, x);
      return found ? [{ ...entry, ...found }] : [];
    });
    values.sort((a, b) => (b.y ?? -Infinity) - (a.y ?? -Infinity));
    const place = values.reduce((best, one) => (Math.abs(one.x - x) < Math.abs(best - x) ? one.x : best), values[0]?.x ?? x);
    const reach = Math.abs(read(axis.p2d(6), this.options.x, false) - read(axis.p2d(0), this.options.x, false));
    const mark = this.options.events ? markAt(this.options.marks ?? [], x, reach) : null;
    const talk = pinned && this.options.x === "step" ? this.options.talk : "";
    const rows = values.slice(0, MOST_READOUT).map(({ label, line, look, x: at, y, word, min, max }) => {
      const row = element("div", "chart-line");
      const span = min !== null && max !== null && min < max ? ` (${format(min)} … ${format(max)})` : "";
      const name = element(talk ? "a" : "span", "chart-label", label);
      if (talk) Object.assign(name, { href: talkAt(talk, line.name, at), title: `Comment on ${label} at this step` });
      row.append(swatch(look), name, element("span", "chart-value", `${word || format(y)}${span}`));
      return row;
    });
    const top = element("div", "chart-place", `${words(place, this.options.x)}${mark ? ` · ${mark.text}` : ""}${pinned ? " · pinned" : ""}`);
    readout.replaceChildren(top, ...rows, ...(values.length > MOST_READOUT ? [element("div", "", `and ${values.length - MOST_READOUT} more`)] : []), ...(talk ? [element("div", "", "Click a name to comment on its point.")] : []));
  }

  /** @param {import("./traces.js").Entry[]} found */
  describe(found) {
    const lasts = found.map(({ label, look, line }) => ({ label, look, count: line.x.length, x: line.x[line.x.length - 1], y: line.y[line.y.length - 1] }));
    this.element.dataset.points = String(lasts.reduce((sum, one) => sum + one.count, 0));
    this.element.dataset.lastStep = String(Math.max(...lasts.map((one) => one.x ?? 0)));
    if (this.legend) fillLegend(this.legend, lasts.slice(0, MOST_LEGEND).map((one) => ({ ...one, value: format(one.y) })));
    const said = lasts.slice(0, MOST_LEGEND).map((one) => `${one.label} is ${format(one.y)} after ${one.x === undefined ? "no point" : words(one.x, this.options.x)}`);
    this.plot?.setAttribute("aria-label", `${this.group.title}: ${said.join(", ")}`);
    if (this.details?.open && !this.table?.contains(document.activeElement)) this.fillTable();
  }

  fillTable() {
    this.table?.replaceChildren(tableOf(this.group.title, this.entries(), this.options.x));
  }

  /** @param {"png" | "svg" | "csv"} kind */
  async save(kind) {
    const found = this.entries();
    const { title } = this.group;
    if (kind === "csv") return save(fileName(title, kind), new Blob([csvOf(found, this.options.x)], { type: "text/csv" }));
    const left = clipped(found.map((entry) => entry.line), this.options.clip, this.options.logY);
    save(fileName(title, kind), await picture(kind, title, traces(found, this.options), layout(this.options, left?.range)));
  }
}
