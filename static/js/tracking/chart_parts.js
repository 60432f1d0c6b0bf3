// @ts-check
// The elements of a chart: its head with a menu, legend, frame with the crosshair, and the table of its points.
import { swatch } from "./colours.js";

const SPRITE = new URL("../../vendor/tabler-icons-3.52.0/sprite.svg", import.meta.url).href;

/**
 * @typedef {{pinned: boolean, hidden: boolean}} Place
 * @typedef {{pin: (title: string) => void, hide: (title: string) => void, move: (title: string, by: -1 | 1) => void, place: (title: string) => Place}} Arranges
 */

/** @param {string} tag @param {string} name @param {string} [text] */
export function element(tag, name, text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (text) made.textContent = text;
  return made;
}

/** @param {string} name */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${SPRITE}#${name}`);
  svg.append(use);
  return svg;
}

/**
 * @param {string} symbol
 * @param {string} label
 * @param {() => void} act
 */
function iconButton(symbol, label, act) {
  const button = /** @type {HTMLButtonElement} */ (element("button", "btn btn-ghost btn-icon chart-button"));
  button.type = "button";
  button.title = label;
  button.setAttribute("aria-label", label);
  button.append(icon(symbol));
  button.addEventListener("click", act);
  return button;
}

/**
 * Title and buttons of a chart.
 * @param {string} title
 * @param {number} level of the heading
 * @param {{full: () => void, save: (format: "png" | "svg" | "csv") => void, arranges: Arranges | null}} acts
 */
export function head(title, level, { full, save, arranges }) {
  const made = element("div", "chart-head");
  const buttons = element("div", "chart-buttons dropdown");
  const more = iconButton("dots-vertical", `More for ${title}`, () => {});
  more.dataset.bsToggle = "dropdown";
  more.setAttribute("aria-expanded", "false");
  const menu = element("div", "dropdown-menu dropdown-menu-end");
  const item = (/** @type {string} */ symbol, /** @type {string} */ text, /** @type {() => void} */ act) => {
    const button = /** @type {HTMLButtonElement} */ (element("button", "dropdown-item"));
    button.type = "button";
    button.append(icon(symbol), text);
    button.addEventListener("click", act);
    menu.append(button);
  };
  more.addEventListener("show.bs.dropdown", () => {
    menu.replaceChildren();
    if (arranges) {
      const { pinned, hidden } = arranges.place(title);
      item("pin", pinned ? "Unpin" : "Pin to the top", () => arranges.pin(title));
      item("arrow-left", "Move earlier", () => arranges.move(title, -1));
      item("arrow-right", "Move later", () => arranges.move(title, 1));
      item(hidden ? "eye" : "eye-off", hidden ? "Show again" : "Hide", () => arranges.hide(title));
      menu.append(element("div", "dropdown-divider"));
    }
    item("photo", "Save as PNG", () => save("png"));
    item("photo", "Save as SVG", () => save("svg"));
    item("table", "Save points as CSV", () => save("csv"));
  });
  buttons.append(iconButton("maximize", `Full size: ${title}`, full), more, menu);
  made.append(element(`h${level}`, "chart-title", title), buttons);
  return made;
}

/**
 * @param {HTMLElement} legend
 * @param {{label: string, look: import("./colours.js").Look, value: string}[]} lines
 */
export function fillLegend(legend, lines) {
  legend.replaceChildren(...lines.map(({ label, look, value }) => {
    const one = element("span", "chart-line");
    one.append(swatch(look), element("span", "chart-label", label), element("span", "chart-value", value));
    return one;
  }));
}

/** @param {string} title */
export function tablePart(title) {
  const details = /** @type {HTMLDetailsElement} */ (element("details", "chart-details"));
  const table = element("div", "chart-table");
  table.tabIndex = 0; // it scrolls
  table.setAttribute("role", "region");
  table.setAttribute("aria-label", `${title} as a table`);
  details.append(element("summary", "", "View as table"), table);
  return { details, table };
}

/** The frame can be focused: arrows move the crosshair. @param {string} title */
export function framePart(title) {
  const frame = element("div", "chart-frame");
  frame.tabIndex = 0;
  frame.setAttribute("role", "group");
  frame.setAttribute("aria-roledescription", "chart");
  frame.setAttribute("aria-label", `${title}: arrow keys move the crosshair, Enter pins it, Escape releases it`);
  const plot = element("div", "chart-plot");
  plot.setAttribute("role", "img");
  plot.setAttribute("aria-label", title); // until there are lines to tell of
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", "chart-crowd"));
  canvas.hidden = true;
  canvas.setAttribute("aria-hidden", "true"); // the plot says what its lines are
  const cross = element("div", "chart-cross");
  cross.hidden = true;
  const readout = element("div", "chart-readout");
  readout.hidden = true;
  frame.append(plot, canvas, cross, readout);
  return { frame, plot, canvas, cross, readout };
}
