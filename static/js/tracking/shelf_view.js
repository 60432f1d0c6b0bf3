// @ts-check
// Shelves of charts in the page: a heading that folds, the first charts below it, and a button for more of them.
import { element, icon } from "./chart_parts.js";

export const MOST_CHARTS = 24;
const MOST_SHELVES = 60;
const KEPT = ".chart-waiting, .chart-runs, dialog"; // what stands among them

/** @typedef {import("./arrangement.js").Shelf} Shelf */
/** @typedef {{root: HTMLElement, heading: HTMLElement, button: HTMLButtonElement | null, count: HTMLElement, cells: HTMLElement, more: HTMLButtonElement, shown: number}} View */

export class ShelfViews {
  /**
   * @param {HTMLElement} parent
   * @param {{card: (group: import("./names.js").Group) => HTMLElement, fold: (key: string, open: boolean) => void, again: () => void, heads: boolean}} page
   */
  constructor(parent, page) {
    this.parent = parent;
    this.page = page;
    /** @type {Map<string, View>} */
    this.views = new Map();
    this.most = MOST_SHELVES;
    this.more = this.moreButton(() => { this.most += MOST_SHELVES; });
  }

  /** Show these shelves in this order; returns the titles of the charts that stand in the page now. @param {Shelf[]} shelves */
  show(shelves) {
    /** @type {Set<string>} */
    const titles = new Set();
    const shown = shelves.slice(0, this.most);
    const keys = new Set(shown.map((shelf) => shelf.key));
    for (const [key, view] of this.views) {
      if (keys.has(key)) continue;
      view.root.remove();
      this.views.delete(key);
    }
    const roots = shown.map((shelf) => {
      const view = this.views.get(shelf.key) ?? this.build(shelf);
      this.views.set(shelf.key, view);
      for (const title of this.fill(view, shelf, shelves.length)) titles.add(title);
      return view.root;
    });
    const left = shelves.length - shown.length;
    this.more.hidden = left <= 0;
    this.more.textContent = `Show more sections (${left.toLocaleString("en")} left)`;
    place(this.parent, [...roots, this.more]);
    return titles;
  }

  /** @param {View} view @param {Shelf} shelf @param {number} among */
  fill(view, shelf, among) {
    view.count.textContent = shelf.key === "found" ? "" : shelf.charts.length.toLocaleString("en");
    view.heading.hidden = !this.page.heads || (among === 1 && shelf.key === "pinned");
    /** @type {HTMLElement} */ (view.heading.querySelector(".shelf-title")).textContent = shelf.title;
    view.button?.setAttribute("aria-expanded", String(shelf.open));
    if (view.button) view.button.disabled = !shelf.folds;
    const charts = shelf.open ? shelf.charts.slice(0, view.shown) : [];
    const left = shelf.open ? shelf.charts.length - charts.length : 0;
    view.more.hidden = left <= 0;
    view.more.textContent = `Show ${Math.min(left, MOST_CHARTS)} more (${left.toLocaleString("en")} left)`;
    view.cells.hidden = !shelf.open;
    place(view.cells, charts.map((group) => this.page.card(group)));
    return charts.map((group) => group.title);
  }

  /** @param {Shelf} shelf @returns {View} */
  build(shelf) {
    const root = element("section", "chart-shelf");
    root.dataset.shelf = shelf.key;
    const heading = element("h2", "shelf-head");
    const title = element("span", "shelf-title");
    const count = element("span", "shelf-count");
    let button = null;
    if (shelf.key === "found") heading.append(title, count);
    else {
      button = /** @type {HTMLButtonElement} */ (element("button", "shelf-button"));
      button.type = "button";
      button.append(icon("chevron-right"), title, count);
      button.addEventListener("click", () => this.page.fold(shelf.key, button?.getAttribute("aria-expanded") !== "true"));
      heading.append(button);
    }
    const cells = element("div", "chart-cells");
    /** @type {View} */
    const view = { root, heading, button, count, cells, more: this.moreButton(() => { view.shown += MOST_CHARTS; }), shown: MOST_CHARTS };
    root.append(heading, cells, view.more);
    return view;
  }

  /** @param {() => void} grow */
  moreButton(grow) {
    const button = /** @type {HTMLButtonElement} */ (element("button", "btn shelf-more"));
    button.type = "button";
    button.hidden = true;
    button.addEventListener("click", () => {
      grow();
      this.page.again();
    });
    return button;
  }
}

/** Make these the children, in this order, moving none that stands right. @param {HTMLElement} parent @param {HTMLElement[]} wanted */
function place(parent, wanted) {
  const kept = new Set(wanted);
  for (const child of [...parent.children]) if (!kept.has(/** @type {HTMLElement} */ (child)) && !child.matches(KEPT)) child.remove();
  let next = parent.firstElementChild;
  for (const child of wanted) {
    if (child.closest("dialog")) continue; // it comes back when that is closed
    while (next?.matches(KEPT)) next = next.nextElementSibling;
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}
