// @ts-check
// <par-coords data-points="id">: a line for each run through its choices to its result.
import { firstAxes, scaleOf } from "./comparison.js";
import { lookOfRun, theme } from "./colours.js";
import { dataOf, svg } from "./svg.js";

const HEIGHT = 300;
const TOP = 44;
const BOTTOM = 16;
const SIDE = 90;
const LEAST_GAP = 110;

export class ParCoords extends HTMLElement {
  connectedCallback() {
    /** @type {import("./comparison.js").Points | null} */
    this.points = dataOf(this.dataset.points ?? "");
    if (!this.points || this.points.axes.length < 2) {
      this.textContent = "These runs differ in no choice, so there is nothing to draw lines between.";
      return;
    }
    this.keys = firstAxes(this.points);
    this.place = document.createElement("div");
    this.place.className = "drawing-scroll";
    this.place.tabIndex = 0;
    this.place.setAttribute("role", "region");
    this.place.setAttribute("aria-label", "Choices and results as lines");
    this.said = document.createElement("p");
    this.said.className = "drawing-said";
    this.said.setAttribute("role", "status");
    this.said.textContent = "Point at a line to see which run it is.";
    this.replaceChildren(this.place, this.said, this.chooser());
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

  chooser() {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "Choose the axes";
    const boxes = document.createElement("div");
    boxes.className = "drawing-axes";
    for (const axis of this.points?.axes ?? []) {
      const label = document.createElement("label");
      label.className = "form-check";
      const box = document.createElement("input");
      box.type = "checkbox";
      box.className = "form-check-input";
      box.checked = this.keys?.includes(axis.key) ?? false;
      box.addEventListener("change", () => {
        this.keys = (this.points?.axes ?? []).map((one) => one.key).filter((key) => (key === axis.key ? box.checked : this.keys?.includes(key)));
        this.draw();
      });
      const text = document.createElement("span");
      text.className = "form-check-label";
      text.textContent = axis.title;
      label.append(box, text);
      boxes.append(label);
    }
    details.append(summary, boxes);
    return details;
  }

  draw() {
    if (!this.points || !this.place) return;
    const axes = this.points.axes.filter((axis) => this.keys?.includes(axis.key));
    const width = Math.max(this.clientWidth - 40, SIDE * 2 + (axes.length - 1) * LEAST_GAP);
    const x = (/** @type {number} */ i) => (axes.length < 2 ? width / 2 : SIDE + (i * (width - 2 * SIDE)) / (axes.length - 1));
    const y = (/** @type {number} */ t) => HEIGHT - BOTTOM - t * (HEIGHT - TOP - BOTTOM);
    const picture = svg("svg", { width, height: HEIGHT, role: "img", "aria-label": `Lines of ${this.points.runs.length} runs through ${axes.map((axis) => axis.title).join(", ")}` });
    const scales = axes.map((axis) => scaleOf((this.points?.runs ?? []).map((run) => run.values[axis.key])));
    for (const run of this.points.runs) {
      let d = "";
      axes.forEach((axis, i) => {
        const at = scales[i].at(run.values[axis.key]);
        d += at === null ? "" : `${d && scales[i - 1]?.at(run.values[axes[i - 1].key]) !== null ? "L" : "M"}${x(i).toFixed(1)} ${y(at).toFixed(1)}`;
      });
      const look = lookOfRun(run.id, theme());
      const line = svg("path", { d, class: "par-line", stroke: look.colour });
      const words = `#${run.number} ${run.name}: ${axes.map((axis) => `${axis.title} ${run.values[axis.key] ?? "–"}`).join(", ")}`;
      line.append(svg("title", {}, words));
      line.addEventListener("pointerenter", () => {
        line.classList.add("is-here");
        picture.append(line); // above the others
        if (this.said) this.said.textContent = words;
      });
      line.addEventListener("pointerleave", () => line.classList.remove("is-here"));
      picture.append(line);
    }
    axes.forEach((axis, i) => {
      picture.append(svg("line", { x1: x(i), x2: x(i), y1: y(0), y2: y(1), class: "par-axis" }));
      const title = svg("text", { x: x(i), y: 14 + (i % 2) * 14, class: "par-title", "text-anchor": i === 0 ? "start" : i === axes.length - 1 ? "end" : "middle", dx: i === 0 ? -SIDE + 4 : i === axes.length - 1 ? SIDE - 4 : 0 }, cut(axis.title, 22));
      title.append(svg("title", {}, axis.title));
      picture.append(title);
      for (const tick of few(scales[i].ticks)) picture.append(svg("text", { x: x(i) + (i === axes.length - 1 ? 5 : -5), y: y(tick.at) + 4, class: "par-tick", "text-anchor": i === axes.length - 1 ? "start" : "end" }, cut(tick.text, 12)));
    });
    this.place.replaceChildren(picture);
  }
}

/** @param {{at: number, text: string}[]} ticks */
const few = (ticks) => (ticks.length <= 12 ? ticks : ticks.filter((_, i) => i % Math.ceil(ticks.length / 12) === 0));

/** @param {string} text @param {number} most */
const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

customElements.define("par-coords", ParCoords);
