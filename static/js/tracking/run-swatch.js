// @ts-check
// <run-swatch data-run>: the look that the lines of a run have in every chart, where its name stands.
import { lookOfRun, swatch, theme } from "./colours.js";

export class RunSwatch extends HTMLElement {
  connectedCallback() {
    this.dark = new MutationObserver(() => this.draw());
    this.dark.observe(document.documentElement, { attributes: true, attributeFilter: ["data-bs-theme"] });
    this.draw();
  }

  disconnectedCallback() {
    this.dark?.disconnect();
  }

  draw() {
    this.replaceChildren(swatch(lookOfRun(Number(this.dataset.run), theme())));
  }
}

customElements.define("run-swatch", RunSwatch);
