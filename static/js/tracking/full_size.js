// @ts-check
// One chart over the whole page, in a dialog; closing it puts the chart back where it was.
import { element, icon } from "./chart_parts.js";

/** @param {import("./chart.js").Chart} chart */
export function showFull(chart) {
  if (chart.element.closest("dialog")) return;
  const dialog = /** @type {HTMLDialogElement} */ (element("dialog", "chart-dialog"));
  dialog.setAttribute("aria-label", chart.group.title);
  const close = /** @type {HTMLButtonElement} */ (element("button", "btn chart-close"));
  close.type = "button";
  close.append(icon("x"), "Close");
  close.addEventListener("click", () => dialog.close());
  const place = document.createComment("");
  chart.element.replaceWith(place);
  dialog.append(close, chart.element);
  (document.querySelector("chart-grid") ?? document.body).append(dialog);
  dialog.addEventListener("close", () => {
    if (place.isConnected) place.replaceWith(chart.element);
    dialog.remove();
    chart.fit();
    /** @type {HTMLElement | null} */ (chart.element.querySelector(".chart-button"))?.focus();
  });
  dialog.showModal();
  chart.fit();
}
