// @ts-check
// <queue-page data-channel="queue:0">: keeps the parts marked `data-refresh` fresh. A hint says that something changed;
// what it is, the page asks for at its own address. Rows are moved by their buttons, which work without this, or dragged.
import { keep } from "../core/kept.js";
import { refreshTimes } from "../core/times.js";
import { subscribe } from "../live.js";
import { placeBefore } from "./order.js";

const GATHER_MS = 400;
const CHECK_MS = 10000; // heartbeats and estimates change without a hint

export class QueuePage extends HTMLElement {
  connectedCallback() {
    this.end = subscribe(this.dataset.channel ?? "", 0, (message) => {
      if (message.t === "s") this.soon();
    });
    this.check = setInterval(() => !document.hidden && this.refresh(), CHECK_MS);
    this.addEventListener("submit", (event) => this.submitted(/** @type {SubmitEvent} */ (event)));
    this.addEventListener("dragstart", (event) => this.dragStart(/** @type {DragEvent} */ (event)));
    this.addEventListener("dragover", (event) => this.dragOver(/** @type {DragEvent} */ (event)));
    this.addEventListener("drop", (event) => this.dropped(/** @type {DragEvent} */ (event)));
    this.addEventListener("dragend", () => this.dragEnd());
  }

  disconnectedCallback() {
    this.end?.();
    clearTimeout(this.timer);
    clearInterval(this.check);
  }

  soon() {
    this.timer ??= setTimeout(() => this.refresh(), GATHER_MS);
  }

  async refresh() {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.dragged) return;
    const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (response?.ok && !this.dragged) this.renew(await response.text());
  }

  /** @param {string} text the page as it is now */
  renew(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of this.querySelectorAll("[data-refresh][id]")) {
      const newer = fresh.getElementById(part.id);
      if (!newer || newer.innerHTML === part.innerHTML) continue;
      const active = /** @type {HTMLElement | null} */ (document.activeElement);
      if (part.contains(active) && active?.matches("input")) continue; // somebody is typing
      const restore = keep(part);
      part.replaceChildren(...newer.childNodes);
      restore(part);
    }
    refreshTimes();
  }

  /** @param {SubmitEvent} event */
  submitted(event) {
    const form = /** @type {HTMLFormElement} */ (event.target);
    if (!form.matches("[data-move-form]")) return;
    event.preventDefault();
    const button = /** @type {HTMLButtonElement | null} */ (event.submitter);
    this.move(form.action, { where: button?.value ?? "" });
  }

  /**
   * @param {string} url
   * @param {Record<string, string>} order
   */
  async move(url, order) {
    const token = /** @type {HTMLInputElement | null} */ (this.querySelector("[name=csrfmiddlewaretoken]"))?.value ?? "";
    const body = new URLSearchParams({ csrfmiddlewaretoken: token, ...order });
    const response = await fetch(url, { method: "POST", body, headers: { Accept: "text/html" } }).catch(() => null);
    const text = response?.ok ? await response.text() : "";
    const refused = new DOMParser().parseFromString(text, "text/html").querySelector(".alert-danger, .alert-error");
    const said = this.querySelector("[data-queue-said]");
    const words = !response ? "The studio does not answer, so nothing was moved. Try again." : !text ? "It could not be moved; reload the page." : (refused?.textContent?.trim() ?? "Moved.");
    if (said) {
      said.textContent = words;
      said.classList.toggle("visually-hidden", words === "Moved.");
      said.classList.toggle("alert", words !== "Moved.");
    }
    await this.refresh();
  }

  /** @param {DragEvent} event */
  dragStart(event) {
    const row = rowOf(event);
    if (!row?.dataset.move) return;
    this.dragged = row;
    row.classList.add("is-dragged");
    event.dataTransfer?.setData("text/plain", row.dataset.run ?? "");
    event.dataTransfer?.setDragImage(row, 20, 20);
  }

  /** @param {DragEvent} event */
  dragOver(event) {
    const row = rowOf(event);
    for (const other of this.querySelectorAll(".is-target")) other.classList.remove("is-target");
    if (!this.dragged || !row?.dataset.move || row.dataset.line !== this.dragged.dataset.line) return;
    event.preventDefault();
    row.classList.add("is-target");
  }

  /** @param {DragEvent} event */
  dropped(event) {
    const row = rowOf(event);
    const dragged = this.dragged;
    if (!row || !dragged?.dataset.move) return;
    event.preventDefault();
    const line = /** @type {HTMLElement[]} */ ([...this.querySelectorAll("tr[data-move]")]);
    const keys = line.filter((one) => one.dataset.line === dragged.dataset.line).map((one) => one.dataset.run ?? "");
    const order = placeBefore(keys, dragged.dataset.run ?? "", row.dataset.run ?? "");
    const url = dragged.dataset.move;
    this.dragEnd();
    if (order) this.move(url, order);
  }

  dragEnd() {
    for (const row of this.querySelectorAll(".is-dragged, .is-target")) row.classList.remove("is-dragged", "is-target");
    this.dragged = undefined;
  }
}

/** @param {Event} event */
function rowOf(event) {
  return /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest("tr[data-run]"));
}

customElements.define("queue-page", QueuePage);
