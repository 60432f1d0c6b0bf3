// @ts-check
// <mention-list data-people="id">: in every text field of the page, an @ offers the people that can be named.
import { begunAt, fitting, named } from "./mentions.js";

export class MentionList extends HTMLElement {
  connectedCallback() {
    /** @type {string[]} */
    this.people = JSON.parse(document.getElementById(this.dataset.people ?? "")?.textContent ?? "[]");
    this.setAttribute("role", "listbox");
    this.setAttribute("aria-label", "People");
    this.id ||= "mention-list";
    this.hidden = true;
    this.write = (/** @type {Event} */ event) => this.look(event.target);
    this.onkey = (/** @type {KeyboardEvent} */ event) => this.key(event);
    this.leave = () => this.close();
    document.addEventListener("input", this.write);
    document.addEventListener("keydown", this.onkey, true);
    document.addEventListener("focusout", this.leave);
    document.addEventListener("scroll", this.leave, { passive: true, capture: true });
    this.addEventListener("mousedown", (event) => {
      event.preventDefault(); // the field keeps the focus
      const item = /** @type {HTMLElement} */ (event.target).closest("[role=option]");
      if (item) this.take([...this.children].indexOf(item));
    });
  }

  disconnectedCallback() {
    if (this.write) document.removeEventListener("input", this.write);
    if (this.onkey) document.removeEventListener("keydown", this.onkey, true);
    if (!this.leave) return;
    document.removeEventListener("focusout", this.leave);
    document.removeEventListener("scroll", this.leave, { capture: true });
  }

  /** @param {EventTarget | null} target */
  look(target) {
    if (!(target instanceof HTMLTextAreaElement)) return;
    this.begun = begunAt(target.value, target.selectionStart);
    const found = this.begun ? fitting(this.people ?? [], this.begun.text) : [];
    if (!found.length) return this.close();
    this.field = target;
    this.at = 0;
    this.replaceChildren(
      ...found.map((name, i) => {
        const item = document.createElement("div");
        item.id = `${this.id}-${i}`;
        item.setAttribute("role", "option");
        item.textContent = name;
        return item;
      }),
    );
    this.hidden = false;
    const box = target.getBoundingClientRect();
    const isAbove = box.bottom + this.offsetHeight > window.innerHeight && box.top > this.offsetHeight;
    this.style.left = `${box.left}px`;
    this.style.top = `${isAbove ? box.top - this.offsetHeight - 2 : box.bottom + 2}px`;
    target.setAttribute("aria-controls", this.id);
    this.mark(0);
  }

  close() {
    this.hidden = true;
    this.field?.removeAttribute("aria-activedescendant");
  }

  /** @param {number} at */
  mark(at) {
    const count = this.children.length;
    this.at = (at + count) % count;
    [...this.children].forEach((item, i) => item.setAttribute("aria-selected", String(i === this.at)));
    this.field?.setAttribute("aria-activedescendant", `${this.id}-${this.at}`);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (this.hidden || event.target !== this.field) return;
    const at = this.at ?? 0;
    const act = { ArrowDown: () => this.mark(at + 1), ArrowUp: () => this.mark(at - 1), Enter: () => this.take(at), Tab: () => this.take(at), Escape: () => this.close() }[event.key];
    if (!act) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }

  /** @param {number} at */
  take(at) {
    const name = this.children[at]?.textContent;
    if (!name || !this.field || !this.begun) return;
    const now = named(this.field.value, this.begun, name);
    this.field.value = now.text;
    this.field.setSelectionRange(now.at, now.at);
    this.close();
  }
}

customElements.define("mention-list", MentionList);
