// @ts-check
// <scatter-plot data-points="id">: runs as points of two numbers that somebody chooses: metrics, choices or cost.
import { lookOfRun, theme } from "./colours.js";
import { scaleOf } from "./comparison.js";
import { dataOf, svg } from "./svg.js";

const HEIGHT = 320;
const LEFT = 70;
const PAD = 24;
let count = 0;

export class ScatterPlot extends HTMLElement {
  connectedCallback() {
    /** @type {import("./comparison.js").Points | null} */
    this.points = dataOf(this.dataset.points ?? "");
    if (!this.points?.axes.length) return;
    const keys = this.points.axes.map((axis) => axis.key);
    const asked = new URLSearchParams(location.search);
    const known = (/** @type {string | null} */ key, /** @type {string} */ other) => (key && keys.includes(key) ? key : other);
    this.x = known(asked.get("x"), keys.includes("cost.time") ? "cost.time" : keys[0]);
    this.y = known(asked.get("y"), this.points.objective || keys[keys.length - 1]);
    this.place = document.createElement("div");
    const tools = document.createElement("div");
    tools.className = "drawing-tools";
    tools.append(this.select("Across", "x"), this.select("Upwards", "y"));
    this.replaceChildren(tools, this.place);
    this.watch = new ResizeObserver(() => this.draw());
    this.watch.observe(this);
    this.dark = new MutationObserver(() => this.draw());
    this.dark.observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
    this.draw();
  }

  disconnectedCallback() {
    this.watch?.disconnect();
    this.dark?.disconnect();
  }

  /**
   * @param {string} words
   * @param {"x" | "y"} which
   */
  select(words, which) {
    const label = document.createElement("label");
    label.className = "form-label";
    const select = document.createElement("select");
    select.className = "form-select form-select-sm";
    select.id = `scatter-${which}-${++count}`;
    label.htmlFor = select.id;
    label.textContent = words;
    for (const axis of this.points?.axes ?? []) select.add(new Option(axis.title, axis.key, false, axis.key === this[which]));
    select.addEventListener("change", () => {
      this[which] = select.value;
      const url = new URL(location.href);
      url.searchParams.set(which, select.value);
      history.replaceState(history.state, "", url);
      this.draw();
    });
    const both = document.createElement("div");
    both.append(label, select);
    return both;
  }

  draw() {
    if (!this.points || !this.place) return;
    const runs = this.points.runs.filter((run) => run.values[this.x ?? ""] != null && run.values[this.y ?? ""] != null);
    const width = Math.max(this.clientWidth - 40, 260);
    const [across, upwards] = [this.x, this.y].map((key) => scaleOf(runs.map((run) => run.values[key ?? ""])));
    const px = (/** @type {number} */ t) => LEFT + PAD + t * (width - LEFT - 2 * PAD);
    const py = (/** @type {number} */ t) => HEIGHT - 44 - PAD / 2 - t * (HEIGHT - 44 - PAD * 1.5);
    const title = (/** @type {string | undefined} */ key) => this.points?.axes.find((axis) => axis.key === key)?.title ?? "";
    const picture = svg("svg", { width, height: HEIGHT, role: "group", "aria-label": `${title(this.y)} against ${title(this.x)} of ${runs.length} runs` });
    picture.append(svg("line", { x1: LEFT, x2: width, y1: HEIGHT - 44, y2: HEIGHT - 44, class: "par-axis" }), svg("line", { x1: LEFT, x2: LEFT, y1: 0, y2: HEIGHT - 44, class: "par-axis" }));
    for (const tick of across.ticks.slice(0, 12)) picture.append(svg("text", { x: px(tick.at), y: HEIGHT - 28, class: "par-tick", "text-anchor": "middle" }, tick.text));
    for (const tick of upwards.ticks.slice(0, 12)) picture.append(svg("text", { x: LEFT - 6, y: py(tick.at) + 4, class: "par-tick", "text-anchor": "end" }, tick.text));
    picture.append(svg("text", { x: (LEFT + width) / 2, y: HEIGHT - 6, class: "par-title", "text-anchor": "middle" }, title(this.x) + (across.isLog ? " (log)" : "")));
    for (const run of runs) {
      const at = [across.at(run.values[this.x ?? ""]), upwards.at(run.values[this.y ?? ""])];
      const dot = svg("circle", { cx: px(at[0] ?? 0), cy: py(at[1] ?? 0), r: 6, fill: lookOfRun(run.id, theme()).colour, class: "scatter-dot" });
      dot.append(svg("title", {}, `#${run.number} ${run.name}: ${title(this.x)} ${run.values[this.x ?? ""]}, ${title(this.y)} ${run.values[this.y ?? ""]}`));
      const link = svg("a", { href: `/runs/${run.id}/`, "aria-label": `Run ${run.number}` });
      link.append(dot, svg("text", { x: px(at[0] ?? 0) + 9, y: py(at[1] ?? 0) + 4, class: "par-tick" }, `#${run.number}`));
      picture.append(link);
    }
    if (!runs.length) picture.append(svg("text", { x: width / 2, y: HEIGHT / 2, class: "par-title", "text-anchor": "middle" }, "No run has both numbers."));
    this.place.replaceChildren(picture);
  }
}

customElements.define("scatter-plot", ScatterPlot);
