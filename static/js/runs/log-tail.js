// @ts-check
// <log-tail data-url data-channel data-lines>: the last lines of a run's output, as they come.
import { idle } from "../core/idle.js";
import { subscribe } from "../live.js";

const MOST_CHARACTERS = 16000;
const BEGIN_MS = 1000; // at the latest

/**
 * The last `count` lines of a text, without the escape sequences of terminals, each as its last rewrite left it.
 * @param {string} text
 * @param {number} count
 */
export function lastLines(text, count) {
  // eslint-disable-next-line no-control-regex
  const plain = text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
  const lines = plain.split("\n").map((line) => line.replace(/\r+$/, "").split("\r").pop() ?? "");
  if (lines.at(-1) === "") lines.pop();
  return lines.slice(-count).join("\n");
}

export class LogTail extends HTMLElement {
  connectedCallback() {
    this.text = "";
    this.upTo = -1;
    this.fence = 0;
    this.end = subscribe(this.dataset.channel ?? "", Number.MAX_SAFE_INTEGER, (message) => {
      if (message.t === "log") this.take(message.f ?? 0, message.o ?? 0, String(message.d));
    });
    void idle(BEGIN_MS).then(() => this.load());
  }

  disconnectedCallback() {
    this.end?.();
  }

  async load() {
    const response = await fetch(`${this.dataset.url}?limit=8000`).catch(() => null);
    if (!response?.ok) return;
    const found = await response.json();
    this.fence = found.fence;
    this.text = found.text;
    this.upTo = found.end;
    this.show();
  }

  /**
   * @param {number} fence
   * @param {number} offset
   * @param {string} text
   */
  take(fence, offset, text) {
    if (this.upTo < 0 || fence < this.fence || (fence === this.fence && offset < this.upTo)) return;
    if (fence > this.fence) this.text = "";
    this.fence = fence;
    this.text = (this.text + text).slice(-MOST_CHARACTERS);
    this.upTo = offset + new TextEncoder().encode(text).length;
    this.show();
  }

  show() {
    if (!this.text.trim()) return;
    let place = this.querySelector("pre");
    if (!place) {
      place = document.createElement("pre");
      place.className = "log-tail";
      place.tabIndex = 0;
      this.replaceChildren(place);
    }
    place.textContent = lastLines(this.text, Number(this.dataset.lines ?? 12));
  }
}

if (typeof customElements !== "undefined") customElements.define("log-tail", LogTail);
