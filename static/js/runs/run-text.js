// @ts-check
// <run-text data-url>: the YAML beside the form. The server reads both; what is typed in one appears in the other, and what
// is wrong in the text is said below it and at its lines.

const WAIT_MS = 450;

/** @typedef {{yaml?: string, command?: string, script?: string, values?: Record<string, string>, errors: Wrong[]}} Answer */
/** @typedef {[where: string, text: string, line?: number | null]} Wrong `line` of the text, from 1 */

/**
 * One sentence for each thing that is wrong, with its place unless it says so itself.
 * @param {Wrong[]} errors
 */
export const sentences = (errors) => errors.map(([where, text]) => (where && !text.startsWith(where) ? `${where}: ${text}` : text));

/**
 * What is wrong in lines of the text; in none when the line is not known.
 * @param {Wrong[]} errors
 */
export const complaints = (errors) => errors.flatMap(([, message, line]) => (line ? [{ line, message }] : []));

export class RunText extends (globalThis.HTMLElement ?? Object) {
  connectedCallback() {
    this.form = this.closest("form");
    this.area = /** @type {HTMLTextAreaElement | null} */ (this.querySelector("textarea"));
    this.editor = /** @type {import("../core/code-editor.js").CodeEditor | null} */ (this.querySelector("code-editor"));
    this.fold = this.closest("details");
    if (!this.form || !this.area || !this.fold) return;
    this.fold.hidden = false;
    this.asked = 0;
    this.fold.addEventListener("toggle", () => this.fold?.open && this.later(false));
    this.form.addEventListener("input", (event) => {
      const mine = event.target === this.area;
      if (this.fold?.open && !(event instanceof CustomEvent)) this.later(mine);
    });
    this.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest("[data-copy]");
      if (button instanceof HTMLElement) this.copy(button);
    });
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  /** @param {boolean} fromText */
  later(fromText) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(fromText), WAIT_MS);
  }

  /** @param {boolean} fromText */
  async ask(fromText) {
    if (!this.form || !this.area) return;
    const number = (this.asked = (this.asked ?? 0) + 1);
    const data = new FormData(this.form);
    data.delete("yaml");
    if (fromText) data.set("yaml", this.area.value);
    const response = await fetch(this.dataset.url ?? "", { method: "POST", body: data }).catch(() => null);
    if (!response?.ok || number !== this.asked) return this.say([["", "The studio does not answer."]]);
    this.show(/** @type {Answer} */ (await response.json()), fromText);
  }

  /**
   * @param {Answer} answer
   * @param {boolean} fromText
   */
  show(answer, fromText) {
    this.say(answer.errors);
    if (fromText && answer.values && !answer.errors.length) {
      this.closest("run-form")?.dispatchEvent(new CustomEvent("fill", { detail: answer.values }));
    }
    if (!fromText && answer.yaml !== undefined) this.editor?.show(answer.yaml);
    for (const name of /** @type {const} */ (["command", "script"])) {
      const place = this.querySelector(`[data-text="${name}"]`);
      if (place && answer[name] !== undefined) place.textContent = answer[name] ?? "";
    }
  }

  /** @param {Wrong[]} errors */
  say(errors) {
    const place = /** @type {HTMLElement | null} */ (this.querySelector("[data-errors]"));
    if (!place) return;
    place.hidden = !errors.length;
    place.textContent = sentences(errors).join("\n");
    this.area?.toggleAttribute("aria-invalid", errors.length > 0);
    this.editor?.complain(complaints(errors));
  }

  /** @param {HTMLElement} button */
  async copy(button) {
    const place = this.querySelector(`[data-text="${button.dataset.copy}"]`);
    const text = button.dataset.copy === "yaml" ? this.area?.value : place?.textContent;
    await navigator.clipboard?.writeText(text ?? "").catch(() => undefined);
    button.classList.add("is-done");
    setTimeout(() => button.classList.remove("is-done"), 1500);
  }
}

if (typeof customElements !== "undefined") customElements.define("run-text", RunText);
