// @ts-check
// Pages that lead to charts (`<link data-charts-soon>`): when nothing else is to do, the chart library is run there and
// draws a line that nobody sees. Most of its first second is compiling, which browsers keep for the next page of the tab.
import { idle } from "../core/idle.js";
import { OPTIONS } from "./chart.js";
import { CONFIG, layout, plotly } from "./plotly.js";
import { traces } from "./traces.js";

/** @type {import("./traces.js").Entry} */
const ENTRY = { label: "", line: { name: "", x: [1, 2, 3], y: [1, 2, 1], odd: [] }, look: { colour: "#000", dash: "solid" } };

async function warm() {
  await idle();
  const Plotly = await plotly();
  await idle();
  const place = document.createElement("div");
  place.className = "charts-soon";
  place.setAttribute("aria-hidden", "true");
  document.body.append(place);
  try {
    await Plotly.react(place, traces([ENTRY], OPTIONS), layout(OPTIONS), CONFIG);
  } finally {
    Plotly.purge(place);
    place.remove();
    document.documentElement.dataset.chartsReady = "";
  }
}

if (globalThis.document?.querySelector("link[data-charts-soon]")) {
  const begin = () => void warm().catch(() => {}); // the page with the charts says what is wrong
  if (document.readyState === "complete") begin();
  else addEventListener("load", begin, { once: true });
}
