// @ts-check
// <command-palette data-url data-project>: a search over everything that the person may see, and over what this page offers.
// The link inside it leads to the search as a page; with this element it opens a dialog instead.
import { rank } from "./palette-items.js";

const WAIT_MS = 120;
const OFFERED = ".page-head-actions a[href], .page-head-actions button, .tabs a[href], [data-action], [data-key]";

/** @typedef {{title: string, note?: string, url?: string, act?: () => void}} Item */
/** @typedef {{title: string, items: Item[]}} Group */

export class CommandPalette extends HTMLElement {
  connectedCallback() {
    /** @type {Group[]} */
    this.found = [];
    this.at = 0;
    const link = this.querySelector("a");
    link?.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      this.open(false);
    });
    if (/Mac|iPhone|iPad/.test(navigator.platform)) this.querySelector("kbd")?.replaceChildren("⌘K");
  }

  /** @param {boolean} actionsOnly */
  open(actionsOnly) {
    this.actionsOnly = actionsOnly;
    if (!this.dialog) this.build();
    if (!this.dialog || !this.input) return;
    if (!this.dialog.open) this.dialog.showModal();
    this.input.placeholder = actionsOnly ? "What can be done here" : "A run, a model, a dataset, a page, something to do";
    this.input.value = "";
    this.input.focus();
    this.found = [];
    this.ask(0);
  }

  build() {
    const dialog = document.createElement("dialog");
    dialog.className = "palette";
    dialog.setAttribute("aria-label", "Search");
    const input = document.createElement("input");
    for (const [name, value] of Object.entries({ type: "text", role: "combobox", class: "form-control", maxlength: "200", autocomplete: "off", spellcheck: "false", "aria-label": "Search", "aria-controls": "palette-list", "aria-expanded": "true", "aria-autocomplete": "list" })) input.setAttribute(name, value);
    const list = document.createElement("div");
    for (const [name, value] of Object.entries({ id: "palette-list", role: "listbox", "aria-label": "Found", class: "palette-list" })) list.setAttribute(name, value);
    const state = document.createElement("p");
    state.className = "palette-state";
    state.setAttribute("role", "status");
    dialog.append(input, list, state);
    input.addEventListener("input", () => this.ask(WAIT_MS));
    input.addEventListener("keydown", (event) => this.key(event));
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close(); // beside it
    });
    dialog.addEventListener("close", () => this.asking?.abort());
    document.body.append(dialog);
    Object.assign(this, { dialog, input, list, status: state });
  }

  /** @returns {Item[]} what the page itself offers, which its roles and states have decided on */
  get offered() {
    const seen = new Set();
    const items = [];
    for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(OFFERED))) {
      const title = (one.textContent ?? "").trim().replace(/\s+/g, " ") || one.getAttribute("aria-label") || "";
      if (!title || seen.has(title) || one.matches(":disabled, [aria-current]") || this.contains(one)) continue;
      seen.add(title);
      items.push({ title, note: one.title, act: () => one.click() });
    }
    return items;
  }

  /** @param {number} wait ms before the server is asked; what the page offers is shown at once */
  ask(wait) {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const text = this.input?.value ?? "";
    const here = { title: "On this page", items: rank(this.offered, text) };
    this.show([here, ...(this.actionsOnly ? [] : this.found?.slice(1) ?? [])]);
    this.waiting = !this.actionsOnly; // until then what the server found is for words before
    this.entered = false;
    if (this.actionsOnly) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      const url = `${this.dataset.url}?${new URLSearchParams({ q: text, project: this.dataset.project ?? "" })}`;
      try {
        const answer = await fetch(url, { signal: asking.signal, headers: { Accept: "application/json" } });
        if (!answer.ok) throw new Error(`the studio answered ${answer.status}`);
        const { groups } = await answer.json();
        const found = groups.map((/** @type {{title: string, hits: Item[]}} */ group) => ({ title: group.title, items: group.hits }));
        if (asking.signal.aborted) return;
        this.show([here, ...found]);
        this.waiting = false;
        if (this.entered) this.enter();
      } catch (error) {
        if (!asking.signal.aborted && this.status) this.status.textContent = `Nothing was searched: ${/** @type {Error} */ (error).message}.`;
      }
    }, wait);
  }

  /** @param {Group[]} groups */
  show(groups) {
    if (!this.list || !this.status) return;
    this.found = groups;
    let number = 0;
    const made = groups.filter((group) => group.items.length).map((group, index) => {
      const part = document.createElement("div");
      part.setAttribute("role", "group");
      const head = document.createElement("div");
      head.className = "palette-group";
      head.id = `palette-group-${index}`;
      head.textContent = group.title;
      part.setAttribute("aria-labelledby", head.id);
      part.append(head, ...group.items.map((item) => this.option(item, number++)));
      return part;
    });
    this.list.replaceChildren(...made);
    this.status.textContent = number ? "" : "Nothing that you may see has all of these words.";
    this.go(0);
  }

  /**
   * @param {Item} item
   * @param {number} number
   */
  option(item, number) {
    const option = document.createElement(item.url ? "a" : "div");
    if (item.url) option.setAttribute("href", item.url);
    option.id = `palette-${number}`;
    option.className = "palette-item";
    option.tabIndex = -1;
    option.setAttribute("role", "option");
    const title = document.createElement("bdi");
    title.textContent = item.title;
    const note = document.createElement("span");
    note.textContent = item.note ?? "";
    option.append(title, note);
    option.addEventListener("mousemove", () => this.go(number));
    option.addEventListener("click", () => {
      this.dialog?.close();
      item.act?.();
    });
    return option;
  }

  get options() {
    return /** @type {HTMLElement[]} */ ([...(this.list?.querySelectorAll("[role=option]") ?? [])]);
  }

  /** @param {number} to */
  go(to) {
    const options = this.options;
    this.at = options.length ? (to + options.length) % options.length : 0;
    options.forEach((option, i) => option.setAttribute("aria-selected", String(i === this.at)));
    options[this.at]?.scrollIntoView({ block: "nearest" });
    this.input?.setAttribute("aria-activedescendant", options[this.at]?.id ?? "");
  }

  /** What stands chosen; when that is of words before, what is first for the words now, as soon as it is there. */
  enter() {
    const option = this.options[this.at ?? 0];
    if (this.waiting && !(option instanceof HTMLDivElement)) this.entered = true;
    else option?.click();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const act = { ArrowDown: () => this.go((this.at ?? 0) + 1), ArrowUp: () => this.go((this.at ?? 0) - 1), Enter: () => this.enter() }[event.key];
    if (!act || event.isComposing) return;
    event.preventDefault();
    act();
  }
}

customElements.define("command-palette", CommandPalette);
