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
    const first = this.text.textContent ?? "";
    this.text.textContent = "";
    this.show(first);
    this.text.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.text;
      if (this.follow && scrollHeight - scrollTop - clientHeight > 40) this.follow.checked = false;
    });
    this.follow?.addEventListener("change", () => this.toEnd());
    if (this.dataset.at) return this.find(this.dataset.words ?? ""); // a place in the past: nothing follows it
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

  /** @param {string} raw */
  show(raw) {
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
    this.text?.append(part);
    while (this.text && this.text.childNodes.length > MOST_NODES) this.text.firstChild?.remove();
    this.toEnd();
  }

  toEnd() {
    if (this.follow?.checked && this.text) this.text.scrollTop = this.text.scrollHeight;
  }

  /** Mark the words, and show the first of them that follow the place. @param {string} wanted */
  find(wanted) {
    const before = Number(this.dataset.at) - Number(this.dataset.offset);
    const found = wanted && this.text ? this.ranges(wanted.toLowerCase()) : [];
    if (found.length) CSS.highlights?.set("log-found", new Highlight(...found.map((f) => f.range)));
    const bytes = new TextEncoder();
    const all = this.text?.textContent ?? "";
    const place = found.find((f) => bytes.encode(all.slice(0, f.at)).length >= before - 200) ?? found[0];
    const box = place?.range.getBoundingClientRect();
    if (box && this.text) this.text.scrollTop += box.top - this.text.getBoundingClientRect().top - this.text.clientHeight / 3;
  }

  /** @param {string} wanted in small letters */
  ranges(wanted) {
    const found = [];
    const walker = document.createTreeWalker(/** @type {HTMLElement} */ (this.text), NodeFilter.SHOW_TEXT);
    let at = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const text = (node.textContent ?? "").toLowerCase();
      for (let i = text.indexOf(wanted); i >= 0; i = text.indexOf(wanted, i + wanted.length)) {
        const range = document.createRange();
        range.setStart(node, i);
        range.setEnd(node, i + wanted.length);
        found.push({ range, at: at + i });
      }
      at += text.length;
    }
    return found;
  }
}

customElements.define("log-view", LogView);
