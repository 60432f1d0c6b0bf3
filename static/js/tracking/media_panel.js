// @ts-check
// One key of a run's media: its step slider, and what was logged at that step; loaded only while it can be seen.
import { drawFigure, drawHistogram, drawMatrix, drawOverSteps, histogramOf, inWords, matrixOf } from "./media_charts.js";
import { MOST_SHOWN, placeOf, thinned } from "./media_store.js";
import { element, tableView } from "./media_table.js";
import { format } from "./points.js";

const MOST_COLUMNS = 60;
const SMALL = 160;
const MOST_LABELS = 40;
let count = 0;

/** @typedef {import("./media_store.js").Group} Group */
/** @typedef {import("./media_store.js").Item} Item */

export class Panel {
  /**
   * @param {Group} group
   * @param {string} files where the run's media lie
   * @param {(step: number) => void} moved tells that somebody moved the slider
   */
  constructor(group, files, moved) {
    this.group = group;
    this.files = files;
    this.moved = moved;
    this.place = group.steps.length - 1;
    this.follows = true;
    this.visible = false;
    this.dirty = true;
    this.turn = 0;
    /** @type {Map<number, any>} data by number of the item */
    this.loaded = new Map();
    this.element = this.build();
    this.arrange();
  }

  build() {
    const card = element("section", "chart-card media-card");
    card.dataset.media = this.group.name;
    card.dataset.kind = this.group.kind;
    const head = element("div", "chart-head");
    const title = element("h2", "chart-title");
    title.append(element("bdi", "", this.group.key));
    title.title = this.group.key;
    this.now = element("span", "chart-now");
    head.append(title, this.now);
    this.body = element("div", "media-body");
    const slide = element("div", "media-slider");
    this.range = /** @type {HTMLInputElement} */ (element("input", "form-range"));
    this.range.type = "range";
    this.range.min = "0";
    this.range.id = `media-step-${++count}`;
    this.range.setAttribute("aria-label", `Step of ${this.group.key}`);
    this.range.addEventListener("input", () => {
      this.show(Number(this.range?.value));
      this.moved(this.group.steps[this.place]);
    });
    slide.append(this.range);
    this.slide = slide;
    card.append(head, this.body, slide);
    return card;
  }

  /** There are more steps, or other ones. */
  arrange() {
    const last = this.group.steps.length - 1;
    if (this.follows) this.place = last;
    this.place = Math.max(0, Math.min(this.place, last));
    if (this.slide) this.slide.hidden = last < 1;
    if (this.range) this.range.max = String(Math.max(last, 0));
    this.touch();
  }

  /** @param {number} place */
  show(place) {
    this.follows = place >= this.group.steps.length - 1;
    if (place === this.place) return;
    this.place = place;
    this.touch();
  }

  /** @param {number} step to show, or the one before it */
  showStep(step) {
    this.show(placeOf(this.group.steps, step));
  }

  /** @param {boolean} visible */
  see(visible) {
    this.visible = visible;
    if (visible && this.dirty) this.touch();
  }

  touch() {
    this.dirty = true;
    const step = this.group.steps[this.place];
    const items = this.group.items.get(step) ?? [];
    if (this.range) {
      this.range.value = String(this.place);
      this.range.setAttribute("aria-valuetext", `step ${step}`);
    }
    if (this.now && items.length) this.now.textContent = `step ${step.toLocaleString("en")} · epoch ${format(items[0].epoch)}`;
    if (this.visible) void this.draw(items, step);
  }

  /**
   * @param {Item[]} items
   * @param {number} step
   */
  async draw(items, step) {
    this.dirty = false;
    const turn = ++this.turn;
    const isCurrent = () => turn === this.turn;
    try {
      const kind = items[0]?.kind === "figure" && items[0].mime !== "application/json" ? "image" : items[0]?.kind;
      if (kind === "image") this.body?.replaceChildren(this.images(items));
      else if (kind === "audio") this.body?.replaceChildren(this.sounds(items));
      else if (items.length) await this.drawData(items[items.length - 1], step, isCurrent);
      this.element.dataset.drawn = String(step);
    } catch (error) {
      if (isCurrent()) this.body?.replaceChildren(element("p", "text-secondary", `It could not be shown (${/** @type {Error} */ (error).message}).`));
    }
  }

  /** @param {Item} item */
  url(item) {
    return `${this.files}${item.seq}/`;
  }

  /** @param {Item[]} items */
  images(items) {
    const shown = items.slice(0, MOST_SHOWN);
    const grid = element("div", shown.length > 1 ? "media-images" : "media-images media-single");
    for (const [i, item] of shown.entries()) {
      const figure = element("figure", "media-figure");
      const link = /** @type {HTMLAnchorElement} */ (element("a"));
      link.href = this.url(item);
      const picture = /** @type {HTMLImageElement} */ (element("img", (item.meta.width ?? SMALL) < SMALL ? "media-picture media-small" : "media-picture"));
      picture.title = notes(item.meta);
      picture.alt = item.caption || `${this.group.key}, ${i + 1} of ${items.length}`;
      picture.src = this.url(item);
      picture.loading = "lazy";
      if (item.meta.width > 0 && item.meta.height > 0) [picture.width, picture.height] = [item.meta.width, item.meta.height];
      link.append(picture);
      figure.append(link);
      const words = [item.caption, shown.length > 1 ? "" : picture.title].filter(Boolean);
      if (words.length) figure.append(element("figcaption", "", words.join(" · ")));
      grid.append(figure);
    }
    const changed = shown.filter((item) => notes(item.meta)).length;
    if (changed && shown.length > 1) grid.append(element("p", "text-secondary media-more", `${changed} of ${shown.length} adjusted so that they can be seen; point at one for how.`));
    if (shown.length < items.length) grid.append(element("p", "text-secondary media-more", `The first ${shown.length} of ${items.length} at this step.`));
    return grid;
  }

  /** @param {Item[]} items */
  sounds(items) {
    const list = element("div", "media-sounds");
    for (const [i, item] of items.slice(0, MOST_SHOWN).entries()) {
      const figure = element("figure", "media-figure");
      const player = /** @type {HTMLAudioElement} */ (element("audio", "media-sound"));
      player.controls = true;
      player.preload = "none";
      player.src = this.url(item);
      player.setAttribute("aria-label", item.caption || `${this.group.key}, ${i + 1} of ${items.length}`);
      const facts = item.meta.seconds ? `${format(item.meta.seconds)} s · ${item.meta.sample_rate} Hz` : "";
      const clipped = item.meta.clipped ? `${item.meta.clipped} samples above 1 were clipped` : "";
      figure.append(player, element("figcaption", "", [item.caption, facts, clipped].filter(Boolean).join(" · ")));
      list.append(figure);
    }
    return list;
  }

  /**
   * @param {Item} item
   * @param {number} step
   * @param {() => boolean} isCurrent
   */
  async drawData(item, step, isCurrent) {
    const data = await this.load(item);
    if (!isCurrent() || !this.body) return;
    const label = `${this.group.key}, step ${step}`;
    if (item.kind === "text") {
      const text = element("pre", "media-text", data);
      text.tabIndex = 0;
      text.setAttribute("role", "region");
      text.setAttribute("aria-label", label);
      this.body.replaceChildren(text);
    } else if (item.kind === "table") {
      this.body.replaceChildren(tableView(data, this.group.key, `${this.url(item)}?csv=1`));
    } else if (item.kind === "matrix") {
      await drawMatrix(this.plot("plot", "result-square", `Confusion matrix of ${label}; the same numbers are in the table below it`), data);
      this.details(matrixOf(data));
    } else if (item.kind === "figure") {
      const note = await drawFigure(this.plot("plot", "result-tall", `Figure ${label}`), data);
      this.note([item.caption, note].filter(Boolean).join(" · "));
    } else if (item.kind === "histogram") {
      const found = histogramOf(data);
      if (this.group.steps.length > 1) {
        const over = this.plot("over", "media-half", `${this.group.key} over the steps`);
        const all = await this.histograms();
        if (isCurrent()) await drawOverSteps(over, all, step);
      }
      if (!isCurrent()) return;
      await drawHistogram(this.plot("plot", "media-half", `Histogram of ${label}`), found);
      this.note(inWords(found));
    }
  }

  async histograms() {
    const steps = thinned(this.group.steps, MOST_COLUMNS);
    const found = await Promise.all(steps.map(async (step) => {
      const items = this.group.items.get(step);
      return items ? { step, ...histogramOf(await this.load(items[items.length - 1])) } : null;
    }));
    return /** @type {({step: number} & import("./media_charts.js").Histogram)[]} */ (found.filter(Boolean));
  }

  /** The place of a chart, made once. @param {string} name @param {string} size @param {string} label */
  plot(name, size, label) {
    let place = /** @type {HTMLElement | null} */ (this.body?.querySelector(`[data-plot=${name}]`) ?? null);
    if (!place) {
      if (!this.body?.querySelector("[data-plot]")) this.body?.replaceChildren();
      place = element("div", `chart-plot ${size}`);
      place.dataset.plot = name;
      place.setAttribute("role", "img");
      this.body?.append(place);
    }
    place.setAttribute("aria-label", label);
    return place;
  }

  /** @param {string} words */
  note(words) {
    let line = this.body?.querySelector(".media-note");
    if (!line) {
      line = element("p", "text-secondary media-note");
    }
    this.body?.append(line); // below the charts
    line.textContent = words;
  }

  /** @param {{labels: string[], matrix: number[][]}} data */
  details({ labels, matrix }) {
    this.body?.querySelector("details")?.remove();
    if (labels.length > MOST_LABELS) return;
    const details = element("details");
    const scroll = element("div", "chart-table");
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", `${this.group.key} as a table`);
    const table = element("table");
    const line = (/** @type {string} */ tag, /** @type {string[]} */ cells) => {
      const row = element("tr");
      row.append(...cells.map((cell, i) => element(i ? tag : "th", i ? "num" : "", cell)));
      return row;
    };
    table.append(line("th", ["true \\ predicted", ...labels]), ...matrix.map((row, i) => line("td", [labels[i], ...row.map(String)])));
    scroll.append(table);
    details.append(element("summary", "", "View as table"), scroll);
    this.body?.append(details);
  }

  /** @param {Item} item */
  async load(item) {
    if (!this.loaded.has(item.seq)) {
      const response = await fetch(this.url(item), { credentials: "same-origin" });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      this.loaded.set(item.seq, item.mime === "application/json" ? await response.json() : await response.text());
      if (this.loaded.size > 2 * MOST_COLUMNS) this.loaded.delete(this.loaded.keys().next().value ?? 0);
    }
    return this.loaded.get(item.seq);
  }
}

/** What was done to a picture so that it can be seen. @param {Record<string, any>} meta */
function notes(meta) {
  const found = [];
  if (Array.isArray(meta.range)) found.push(`stretched from ${format(Number(meta.range[0]))} … ${format(Number(meta.range[1]))}`);
  if (meta.nonfinite) found.push(`${meta.nonfinite} pixels not finite (magenta)`);
  if (meta.reduced) found.push(`reduced ${meta.reduced} times`);
  return found.join(" · ");
}
