// @ts-check
// <run-form data-parent="#12" data-draft="key" data-choice="…">: shows the fields of another choice as soon as it is made,
// finds fields, keeps what was typed until it is sent, and says before the start what differs from the parent run.
import { inWords, matches, same } from "./changes.js";
import { age, differences, read, write } from "./drafts.js";

/** @typedef {HTMLInputElement | HTMLSelectElement} Input */

const SAVE_MS = 250;
// What the server makes the fields of, and what is no value of a run.
const CHOICES = ["model", "dataset", "start", "start_mode", "preset", "preset_name"];

export class RunForm extends HTMLElement {
  connectedCallback() {
    const form = this.querySelector("form");
    if (!form) return;
    this.refresh = /** @type {HTMLButtonElement | null} */ (this.querySelector("[data-refresh-form]"));
    if (this.refresh) this.refresh.hidden = true;
    this.addEventListener("change", (event) => {
      if (/** @type {HTMLElement} */ (event.target).matches("[data-choice]")) this.choose();
    });
    this.addEventListener("click", (event) => this.repair(event));
    this.addEventListener("fill", (event) => this.fill(/** @type {CustomEvent<Record<string, string>>} */ (event).detail));
    form.addEventListener("submit", (event) => {
      // A question before the run is no start.
      if (event.submitter instanceof HTMLButtonElement && event.submitter.name) return;
      // One run for two clicks; a page that comes back from the history can be sent again.
      if (form.dataset.sent) event.preventDefault();
      form.dataset.sent = "1";
      this.save(true);
    });
    addEventListener("pageshow", () => delete form.dataset.sent);
    form.addEventListener("input", () => {
      this.compare();
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(false), SAVE_MS);
    });
    this.search();
    if (this.dataset.parent && !("submitted" in this.dataset)) this.begin();
    this.restore();
    this.compare();
  }

  /** All fields that a draft or a text fills, by name. */
  get fields() {
    const all = /** @type {NodeListOf<Input>} */ (this.querySelectorAll("input[name], select[name]"));
    const kept = [...all].filter((field) => field.type !== "hidden" && field.type !== "checkbox" && !field.disabled && !CHOICES.includes(field.name));
    return new Map(kept.map((field) => [field.name, field]));
  }

  get values() {
    return Object.fromEntries([...this.fields].map(([name, field]) => [name, field.value]));
  }

  choose() {
    this.save(false);
    if (this.refresh) this.querySelector("form")?.requestSubmit(this.refresh);
  }

  /** @param {Event} event */
  repair(event) {
    const button = /** @type {HTMLElement} */ (event.target).closest("[data-repair]");
    if (!(button instanceof HTMLButtonElement)) return;
    const values = JSON.parse(button.value);
    if (!Object.keys(values).every((name) => this.fields.has(name))) return; // the server knows what to do
    event.preventDefault();
    this.fill(values);
    this.reveal(Object.keys(values)[0] ?? "");
    button.disabled = true;
    button.textContent = "Done";
  }

  /**
   * Put values into fields, opening what is folded.
   * @param {Record<string, string>} values
   */
  fill(values) {
    const fields = this.fields;
    for (const [name, value] of Object.entries(values)) {
      const field = fields.get(name);
      if (!field || same(field.value, value)) continue;
      field.value = value;
      if (value) field.closest("details")?.setAttribute("open", "");
    }
    this.querySelector("form")?.dispatchEvent(new CustomEvent("input"));
  }

  /** @param {string} name */
  reveal(name) {
    const field = this.fields.get(name);
    field?.scrollIntoView({ block: "center" });
    field?.focus({ preventScroll: true });
  }

  /** The box above the sections: fields whose name, label or help has the words. Enter goes to the first. */
  search() {
    const box = /** @type {HTMLInputElement | null} */ (this.querySelector("[data-field-search]"));
    const place = box?.closest("[hidden]");
    if (!box || !place) return;
    place.removeAttribute("hidden");
    const folds = /** @type {NodeListOf<HTMLDetailsElement>} */ (this.querySelectorAll("details.fold"));
    const open = new Map([...folds].map((fold) => [fold, fold.open]));
    const show = () => {
      const words = box.value.trim();
      let found = 0;
      for (const section of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("[data-section]"))) {
        let here = 0;
        for (const field of /** @type {NodeListOf<HTMLElement>} */ (section.querySelectorAll(".field"))) {
          const input = field.querySelector("[name]");
          field.hidden = !matches(words, `${input?.getAttribute("name")} ${field.textContent}`);
          here += field.hidden ? 0 : 1;
        }
        section.hidden = !here;
        found += here;
      }
      for (const fold of folds) fold.open = words ? true : (open.get(fold) ?? false);
      const line = this.querySelector("[data-found]");
      if (line) line.textContent = words ? `${found} field${found === 1 ? "" : "s"}` : "";
    };
    box.addEventListener("input", (event) => {
      event.stopPropagation();
      if (!box.value.trim()) for (const fold of folds) open.set(fold, open.get(fold) || [...fold.querySelectorAll("input, select")].some((f) => /** @type {Input} */ (f).value));
      show();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        box.value = "";
        show();
      }
      if (event.key !== "Enter") return;
      event.preventDefault();
      const first = [...this.fields.values()].find((field) => field.closest("[data-section]") && !field.closest("[hidden]"));
      first?.focus();
    });
  }

  /** A rerun begins with what to change: the search of fields has the focus, unless something else has it. */
  begin() {
    if (document.activeElement === document.body) /** @type {HTMLElement | null} */ (this.querySelector("[data-field-search]"))?.focus({ preventScroll: true });
  }

  // Drafts.

  /** @param {boolean} sent */
  save(sent) {
    if (!this.dataset.draft) return;
    write(localStorage, this.dataset.draft, { at: Date.now(), sent, choice: this.dataset.choice ?? "", values: this.values });
  }

  restore() {
    const { draft: key, choice = "", submitted } = this.dataset;
    if (!key) return;
    // What the server was asked for stands in the address too, so that a reload asks for the same.
    if (this.dataset.address && location.search !== this.dataset.address) history.replaceState(null, "", location.pathname + this.dataset.address);
    if (submitted !== undefined) return this.save(false);
    const found = read(localStorage, key, Date.now());
    if (!found) return;
    const elsewhere = found.choice !== choice;
    const shown = this.values;
    const changed = elsewhere ? found.values : differences(shown, found.values);
    const line = /** @type {HTMLElement | null} */ (this.querySelector("[data-draft-line]"));
    if (!line || !Object.keys(changed).length) return;
    line.hidden = false;
    const words = line.querySelector("span");
    const when = age(Date.now() - found.at);
    const [keep, drop] = /** @type {NodeListOf<HTMLButtonElement>} */ (line.querySelectorAll("button"));
    if (words) words.textContent = elsewhere ? `There is a draft for another choice of model and data, from ${when}.` : `What you had typed is here again, from ${when}.`;
    if (keep) {
      keep.hidden = !elsewhere;
      keep.addEventListener("click", () => (location.search = found.choice));
    }
    drop?.addEventListener("click", () => {
      localStorage.removeItem(key);
      line.hidden = true;
      if (!elsewhere) this.fill(shown);
      localStorage.removeItem(key);
      clearTimeout(this.timer);
    });
    if (!elsewhere) this.fill(changed);
  }

  compare() {
    if (!this.dataset.parent) return;
    const changes = [];
    for (const field of this.querySelectorAll("[data-was]")) {
      const input = /** @type {Input} */ (field);
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
