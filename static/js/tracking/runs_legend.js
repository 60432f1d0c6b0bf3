// @ts-check
// The runs of a page of charts with the look that each has in all of them; pressing one hides its lines.
import { element } from "./chart_parts.js";
import { lookOfRun, swatch, theme } from "./colours.js";

/**
 * @param {import("./run_source.js").RunSource[]} sources
 * @param {() => void} changed
 */
export function runsLegend(sources, changed) {
  const list = element("div", "chart-runs");
  list.setAttribute("role", "group");
  list.setAttribute("aria-label", "Runs");
  for (const source of sources) {
    const button = /** @type {HTMLButtonElement} */ (element("button", "btn chart-run"));
    button.type = "button";
    button.title = "Show or hide its lines";
    button.setAttribute("aria-pressed", String(!source.hidden));
    button.append(swatch(lookOfRun(source.id, theme())), element("bdi", "", source.name));
    button.addEventListener("click", () => {
      source.hidden = !source.hidden;
      button.setAttribute("aria-pressed", String(!source.hidden));
      changed();
    });
    list.append(button);
  }
  return list;
}
