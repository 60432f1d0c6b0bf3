// @ts-check
// How charts are arranged on a page: pinned ones, then sections, then those that were hidden. What is kept is described
// in studio/tracking/layouts.py.
import { matching, opening, sections } from "./names.js";

/** @typedef {import("./names.js").Group} Group */
/**
 * @typedef {{pinned: string[] | null, hidden: string[], order: string[], opened: string[], closed: string[], smoothing: number,
 *   x: import("./axes.js").Axis, log_x: boolean, log_y: boolean, clip: import("./clip.js").Clip, events: boolean, whose?: string}} Layout
 */
/** @typedef {{key: string, title: string, open: boolean, folds: boolean, charts: Group[]}} Shelf a heading and the charts below it */

/** @type {Layout} */
export const DEFAULTS = { pinned: null, hidden: [], order: [], opened: [], closed: [], smoothing: 0, x: "step", log_x: false, log_y: false, clip: "none", events: true };

/**
 * @param {Group[]} charts
 * @param {Layout} layout
 * @param {{objective: string, search?: string}} page
 * @returns {Shelf[]}
 */
export function shelves(charts, layout, { objective, search = "" }) {
  if (search.trim()) {
    const found = matching(charts, search);
    return [{ key: "found", title: `${found.length} of ${charts.length} charts match`, open: true, folds: false, charts: found }];
  }
  const hidden = new Set(layout.hidden);
  const shown = charts.filter((chart) => !hidden.has(chart.title));
  const top = pinnedOf(charts, layout, objective).filter((title) => !hidden.has(title));
  const above = new Set(top);
  const byTitle = new Map(shown.map((chart) => [chart.title, chart]));
  const pinned = top.flatMap((title) => byTitle.get(title) ?? []);
  const rest = ordered(shown.filter((chart) => !above.has(chart.title)), layout.order);
  /** @type {Shelf[]} */
  const found = pinned.length ? [{ key: "pinned", title: "Pinned", open: isOpen("pinned", true, layout), folds: rest.length > 0, charts: pinned }] : [];
  for (const [name, members] of sections(rest)) {
    const key = `section:${name}`;
    found.push({ key, title: name || "Other metrics", open: isOpen(key, false, layout), folds: true, charts: members });
  }
  const away = charts.filter((chart) => hidden.has(chart.title));
  if (away.length) found.push({ key: "hidden", title: "Hidden charts", open: isOpen("hidden", false, layout), folds: true, charts: away });
  return found;
}

/** Titles on top, in their order. @param {Group[]} charts @param {Layout} layout @param {string} objective */
export function pinnedOf(charts, layout, objective) {
  return layout.pinned ?? orderedTitles(opening(charts, objective), layout.order);
}

/**
 * Each change gives a new layout and leaves the old one as it was.
 * @param {Layout} layout
 * @param {string} key
 * @param {boolean} open
 * @returns {Layout}
 */
export function withSection(layout, key, open) {
  const without = (/** @type {string[]} */ list) => list.filter((one) => one !== key);
  const opened = without(layout.opened);
  const closed = without(layout.closed);
  (open ? opened : closed).push(key);
  return { ...layout, opened, closed };
}

/** @param {Layout} layout @param {string[]} now titles that are pinned @param {string} title @returns {Layout} */
export function withPin(layout, now, title) {
  const pinned = now.includes(title) ? now.filter((one) => one !== title) : [...now, title];
  return { ...layout, pinned, hidden: layout.hidden.filter((one) => one !== title) };
}

/** @param {Layout} layout @param {string} title @returns {Layout} */
export function withHidden(layout, title) {
  const hidden = layout.hidden.includes(title) ? layout.hidden.filter((one) => one !== title) : [...layout.hidden, title];
  return { ...layout, hidden };
}

/**
 * A chart one place earlier or later on its shelf; null when it stands at that end already.
 * @param {Layout} layout
 * @param {Shelf} shelf
 * @param {string} title
 * @param {-1 | 1} by
 * @returns {Layout | null}
 */
export function withMove(layout, shelf, title, by) {
  const titles = shelf.charts.map((chart) => chart.title);
  const from = titles.indexOf(title);
  const to = from + by;
  if (from < 0 || to < 0 || to >= titles.length) return null;
  [titles[from], titles[to]] = [titles[to], titles[from]];
  if (shelf.key === "pinned") return { ...layout, pinned: titles };
  const kept = titles.slice(0, Math.max(from, to) + 1); // those behind them follow by name
  const here = new Set(titles);
  return { ...layout, order: [...layout.order.filter((one) => !here.has(one)), ...kept] };
}

/** @param {string} key @param {boolean} begins @param {Layout} layout */
function isOpen(key, begins, layout) {
  return begins ? !layout.closed.includes(key) : layout.opened.includes(key);
}

/** @param {Group[]} charts @param {string[]} order */
function ordered(charts, order) {
  if (!order.length) return charts;
  const place = new Map(order.map((title, i) => [title, i]));
  const rank = (/** @type {Group} */ chart) => place.get(chart.title) ?? order.length;
  return charts.map((chart, i) => ({ chart, i })).sort((a, b) => rank(a.chart) - rank(b.chart) || a.i - b.i).map(({ chart }) => chart);
}

/** @param {string[]} titles @param {string[]} order */
function orderedTitles(titles, order) {
  return ordered(titles.map((title) => ({ title, section: "", names: [] })), order).map((chart) => chart.title);
}
