// @ts-check
// <run-form data-parent="#12">: shows the fields of another model or dataset as soon as it is chosen, and says before
// the start what differs from the run that the values came from.
import { inWords, same } from "./changes.js";

export class RunForm extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    const refresh = /** @type {HTMLButtonElement | null} */ (this.querySelector("[data-refresh-form]"));
    if (!form) return;
    if (refresh) refresh.hidden = true;
    for (const choice of this.querySelectorAll("[data-choice]")) {
      choice.addEventListener("change", () => refresh && form.requestSubmit(refresh));
    }
    this.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest("[data-repair]");
      if (button instanceof HTMLButtonElement && this.apply(JSON.parse(button.value))) {
        event.preventDefault();
        button.disabled = true;
        button.textContent = "Done";
      }
    });
    form.addEventListener("submit", (event) => {
      // A question before the run is no start.
      if (event.submitter instanceof HTMLButtonElement && event.submitter.name) return;
      // One run for two clicks; a page that comes back from the history can be sent again.
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
    });
    addEventListener("pageshow", () => delete form.dataset.sent);
    if (this.dataset.parent) {
      form.addEventListener("input", () => this.compare());
      this.compare();
    }
  }

  /**
   * Put values into fields, opening what is folded; false when one is not there.
   * @param {Record<string, string>} values
   */
  apply(values) {
    const fields = Object.keys(values).map((name) => /** @type {HTMLInputElement | null} */ (this.querySelector(`[name="${CSS.escape(name)}"]`)));
    if (fields.some((field) => !field)) return false;
    for (const field of fields) {
      if (!field) continue;
      field.value = values[field.name] ?? "";
      field.closest("details")?.setAttribute("open", "");
      field.dispatchEvent(new Event("input", { bubbles: true }));
    }
    fields[0]?.scrollIntoView({ block: "center" });
    fields[0]?.focus({ preventScroll: true });
    return true;
  }

  compare() {
    const changes = [];
    for (const field of this.querySelectorAll("[data-was]")) {
      const input = /** @type {HTMLInputElement | HTMLSelectElement} */ (field);
      const was = input.dataset.was ?? "";
      const differs = !same(was, input.value);
      input.closest(".field")?.classList.toggle("is-changed", differs);
      const label = input.labels?.[0]?.textContent?.trim() ?? input.name;
      if (differs) changes.push({ label, was, now: input.value });
    }
    const line = this.querySelector("[data-changes]");
    if (line) line.textContent = inWords(changes, this.dataset.parent ?? "");
  }
}

customElements.define("run-form", RunForm);
