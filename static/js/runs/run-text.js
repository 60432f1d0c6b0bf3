// @ts-check
// <run-text data-url>: the YAML beside the form. The server reads both; what is typed in one appears in the other.

const WAIT_MS = 450;

/** @typedef {{yaml?: string, command?: string, script?: string, values?: Record<string, string>, errors: [string, string][]}} Answer */

export class RunText extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.area = /** @type {HTMLTextAreaElement | null} */ (this.querySelector("textarea"));
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
    if (!fromText && this.area && answer.yaml !== undefined) this.area.value = answer.yaml;
    for (const name of /** @type {const} */ (["command", "script"])) {
      const place = this.querySelector(`[data-text="${name}"]`);
      if (place && answer[name] !== undefined) place.textContent = answer[name] ?? "";
    }
  }

  /** @param {[string, string][]} errors */
  say(errors) {
    const place = /** @type {HTMLElement | null} */ (this.querySelector("[data-errors]"));
    if (!place) return;
    place.hidden = !errors.length;
    place.textContent = errors.map(([where, text]) => (where && !text.startsWith(where) ? `${where}: ${text}` : text)).join("\n");
    this.area?.toggleAttribute("aria-invalid", errors.length > 0);
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
