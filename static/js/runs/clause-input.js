// @ts-check
// <clause-input data-url data-kind data-separator>: its input becomes a combobox whose list is asked of the server.
import { partAt, replaced } from "./clauses.js";

const GATHER_MS = 120;
let count = 0;

/** @typedef {{text: string, note: string}} Completion */

export class ClauseInput extends HTMLElement {
  connectedCallback() {
    const input = this.querySelector("input");
    if (!input || this.list) return;
    this.input = input;
    this.separator = this.dataset.separator ?? " ";
    this.turn = 0;
    this.list = document.createElement("ul");
    this.list.className = "clause-list";
    this.list.id = `clauses-${++count}`;
    this.list.hidden = true;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Ways to go on");
    input.after(this.list);
    for (const [name, value] of [["role", "combobox"], ["aria-autocomplete", "list"], ["aria-expanded", "false"], ["aria-controls", this.list.id]]) input.setAttribute(name, value);
    input.addEventListener("input", () => this.soon());
    input.addEventListener("focus", () => this.soon());
    input.addEventListener("blur", () => this.close());
    input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the input keeps the focus
      const item = /** @type {HTMLElement} */ (event.target).closest("li");
      if (item) this.take(Number(item.dataset.at));
    });
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), GATHER_MS);
  }

  async ask() {
    if (!this.input) return;
    const turn = ++this.turn;
    const part = partAt(this.input.value, this.input.selectionStart ?? this.input.value.length, this.separator);
    const url = new URL(this.dataset.url ?? "", location.href);
    url.searchParams.set("kind", this.dataset.kind ?? "filter");
    url.searchParams.set("text", part.text);
    const response = await fetch(url, { credentials: "same-origin" }).catch(() => null);
    if (turn !== this.turn || !response?.ok || document.activeElement !== this.input) return;
    this.show((await response.json()).found, part);
  }

  /**
   * @param {Completion[]} found
   * @param {import("./clauses.js").Part} part
   */
  show(found, part) {
    this.found = found.filter((one) => one.text !== part.text);
    this.at = -1;
    this.list?.replaceChildren(
      ...this.found.map((one, i) => {
        const item = document.createElement("li");
        item.id = `${this.list?.id}-${i}`;
        item.dataset.at = String(i);
        item.setAttribute("role", "option");
        item.setAttribute("aria-selected", "false");
        const text = document.createElement("code");
        text.textContent = one.text;
        const note = document.createElement("small");
        note.textContent = one.note;
        item.append(text, note);
        return item;
      }),
    );
    this.open(this.found.length > 0);
  }

  /** @param {boolean} open */
  open(open) {
    if (!this.list || !this.input) return;
    this.list.hidden = !open;
    this.input.setAttribute("aria-expanded", String(open));
    if (!open) this.input.removeAttribute("aria-activedescendant");
  }

  close() {
    clearTimeout(this.timer);
    this.turn = (this.turn ?? 0) + 1;
    this.open(false);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const found = this.found ?? [];
    if (event.key === "Escape" && !this.list?.hidden) {
      event.preventDefault();
      this.close();
    } else if (this.list?.hidden || !found.length) {
      if (event.key === "ArrowDown") this.ask();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.mark(((this.at ?? -1) + step + found.length + (this.at === -1 && step < 0 ? 1 : 0)) % found.length);
    } else if ((event.key === "Enter" || event.key === "Tab") && (this.at ?? -1) >= 0) {
      event.preventDefault();
      this.take(/** @type {number} */ (this.at));
    }
  }

  /** @param {number} at */
  mark(at) {
    this.at = at;
    [...(this.list?.children ?? [])].forEach((item, i) => {
      item.setAttribute("aria-selected", String(i === at));
      if (i === at) item.scrollIntoView({ block: "nearest" });
    });
    this.input?.setAttribute("aria-activedescendant", `${this.list?.id}-${at}`);
  }

  /** @param {number} at */
  take(at) {
    const one = this.found?.[at];
    if (!one || !this.input) return;
    const text = this.input.value; // it may have grown since the list was asked for
    const now = replaced(text, partAt(text, this.input.selectionStart ?? text.length, this.separator), one.text, this.separator);
    this.input.value = now.text;
    this.input.setSelectionRange(now.at, now.at);
    this.close();
    this.soon();
  }
}

customElements.define("clause-input", ClauseInput);
