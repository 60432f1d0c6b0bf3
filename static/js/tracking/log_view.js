// @ts-check
// <log-view>: the output of a run; follows it live, fills gaps over HTTP, marks what was searched for, keeps the page small.
import { subscribe } from "../live.js";
import { overwrite, parseAnsi } from "./ansi.js";

const MOST_NODES = 6000;

class LogView extends HTMLElement {
  connectedCallback() {
    this.text = /** @type {HTMLElement} */ (this.querySelector("[data-log-text]"));
    this.follow = /** @type {HTMLInputElement | null} */ (this.querySelector("[data-log-follow]"));
    this.end = Number(this.dataset.end);
    this.fence = Number(this.dataset.fence);
    const place = /** @type {HTMLElement | null} */ (this.text.querySelector("#place"));
    if (place) return this.around(place); // in the past: nothing follows it
    const first = this.text.textContent ?? "";
    this.text.textContent = "";
    this.show(first);
    this.text.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.text;
      if (this.follow && scrollHeight - scrollTop - clientHeight > 40) this.follow.checked = false;
    });
    this.follow?.addEventListener("change", () => this.toEnd());
    if (!this.dataset.settled) this.unsubscribe = subscribe(`run:${this.dataset.run}`, Number.MAX_SAFE_INTEGER, (m) => this.receive(m));
    this.toEnd();
  }

  disconnectedCallback() {
    this.unsubscribe?.();
  }

  /** @param {import("../live.js").Message} message */
  receive(message) {
    if (message.t === "s" && ["succeeded", "failed", "cancelled"].includes(message.d?.state)) return void this.fetchFrom();
    if (message.t !== "log") return;
    if (message.f && message.f > this.fence) {
      this.fence = message.f;
      this.end = 0;
      this.show(`\n── attempt ${message.f} ──\n`);
    }
    if (message.f !== this.fence) return;
    if (message.o === this.end) {
      this.show(message.d);
      this.end += new TextEncoder().encode(message.d).length;
    } else if ((message.o ?? 0) > this.end) this.fetchFrom();
  }

  async fetchFrom() {
    if (this.fetching) return;
    this.fetching = true;
    try {
      const url = new URL(this.dataset.url ?? "", location.href);
      url.search = new URLSearchParams({ offset: String(this.end), attempt: String(this.fence), limit: "1000000" }).toString();
      const found = await (await fetch(url, { credentials: "same-origin" })).json();
      if (found.offset === this.end && found.end > this.end) {
        this.show(found.text);
        this.end = found.end;
      }
    } finally {
      this.fetching = false;
    }
  }

  /** @param {string} raw @param {HTMLElement | undefined} into */
  show(raw, into = this.text) {
    if (!raw) return;
    this.querySelector(".log-empty")?.remove();
    const part = document.createDocumentFragment();
    for (const piece of parseAnsi(overwrite(raw))) {
      if (!piece.classes.length) part.append(piece.text);
      else {
        const span = document.createElement("span");
        span.className = piece.classes.join(" ");
        span.textContent = piece.text;
        part.append(span);
      }
    }
    into?.append(part);
    while (this.text && this.text.childNodes.length > MOST_NODES) this.text.firstChild?.remove();
    this.toEnd();
  }

  toEnd() {
    if (this.follow?.checked && this.text) this.text.scrollTop = this.text.scrollHeight;
  }

  /** Show the line that was chosen in the middle, and mark what was searched for. @param {HTMLElement} place */
  around(place) {
    const [before, line, after] = [place.previousSibling, place, place.nextSibling].map((node) => node?.textContent ?? "");
    this.text?.replaceChildren();
    this.show(before);
    place.textContent = "";
    this.show(line, place);
    this.text?.append(place);
    this.show(after);
    const words = (this.dataset.words ?? "").toLowerCase();
    if (words) CSS.highlights?.set("log-found", new Highlight(...this.ranges(words)));
    place.scrollIntoView({ block: "center" });
  }

  /** @param {string} wanted in small letters */
  ranges(wanted) {
    /** @type {Range[]} */
    const found = [];
    const walker = document.createTreeWalker(/** @type {HTMLElement} */ (this.text), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = (node.textContent ?? "").toLowerCase();
      for (let i = text.indexOf(wanted); i >= 0; i = text.indexOf(wanted, i + wanted.length)) {
        const range = document.createRange();
        range.setStart(node, i);
        range.setEnd(node, i + wanted.length);
        found.push(range);
      }
    }
    return found;
  }
}

customElements.define("log-view", LogView);
