// @ts-check
// What every page loads: fresh times, and the custom elements of the apps.
import "./core/keys.js"; // before the elements: a key that it takes is theirs no more
import "./core/code-editor.js";
import "./core/command-palette.js";
import "./core/copy-button.js";
import "./core/kept.js";
import "./core/refused.js";
import "./core/sending.js";
import { refreshTimes } from "./core/times.js";
import "./accounts/submit-once.js";
import "./notifications/bell.js";
import "./registry/file-upload.js";
import "./reports/mention-list.js";
import "./reports/print-page.js";
import "./runs/clause-input.js";
import "./runs/log-tail.js";
import "./runs/queue-page.js";
import "./runs/run-form.js";
import "./runs/run-list.js";
import "./runs/run-status.js";
import "./runs/run-text.js";
import "./runs/runs-table.js";
import "./runs/side-charts.js";
import "./runs/split-bar.js";
import "./tracking/chart_grid.js";
import "./tracking/log_view.js";
import "./tracking/media_panels.js";
import "./tracking/par-coords.js";
import "./tracking/results.js";
import "./tracking/run-swatch.js";
import "./tracking/scatter-plot.js";
import "./tracking/soon.js";
import "./tracking/spark-line.js";
import "./tracking/system.js";

setInterval(refreshTimes, 15000);
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
document.addEventListener("htmx:afterSwap", refreshTimes);
document.addEventListener("copy-text", (event) => {
  navigator.clipboard?.writeText(/** @type {CustomEvent<string>} */ (event).detail);
});
