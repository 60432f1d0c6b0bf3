// @ts-check
// <run-status data-channel data-state>: keeps the header of a run fresh. Progress is filled in as it comes;
// when the state changes, every part of the page that is marked `data-refresh` is fetched again from the same address.
// While nothing comes, the header alone is asked for every few seconds: nothing old is shown as fresh.
import { refreshTimes } from "../core/times.js";
import { showTabIcon } from "../core/tab-icon.js";
import { subscribe } from "../live.js";
import { countdown, fill, fillBreakdown, freshness, isEnded, tabTitle } from "./shown.js";

const SETTLE_MS = 120;
const TICK_MS = 1000;

export class RunStatus extends HTMLElement {
  connectedCallback() {
    this.state = this.dataset.state ?? "";
    this.fence = Number(this.dataset.fence ?? 0);
    this.heardAt = this.renderedAt = Date.now();
    this.asking = false;
    const { fraction, value } = this.dataset;
    this.tab({ state: this.state, shown: { fraction: fraction ? Number(fraction) : null, value } });
    this.ticking = setInterval(() => this.tick(), TICK_MS);
    this.end = subscribe(this.dataset.channel ?? "", Number.MAX_SAFE_INTEGER, (message) => {
      if (message.t === "s") this.take(message.d);
    });
  }

  /** @param {import("./shown.js").Facts} facts */
  tab(facts) {
    document.title = tabTitle(document.title, facts);
    showTabIcon(facts.state, facts.shown?.fraction);
  }

  disconnectedCallback() {
    this.end?.();
    clearTimeout(this.timer);
    clearInterval(this.ticking);
  }

  /** Once a second: count down, and see to it that what is shown is fresh or says that it is not. */
  tick() {
    const now = Date.now();
    for (const element of this.querySelectorAll("[data-countdown]")) {
      element.textContent = countdown(Number(/** @type {HTMLElement} */ (element).dataset.countdown), now - this.renderedAt);
    }
    const { ask, stale } = freshness(now - this.heardAt, isEnded(this.state ?? ""));
    this.toggleAttribute("data-stale", stale);
    const place = /** @type {HTMLElement | null} */ (this.querySelector("[data-not-fresh]"));
    if (place) {
      place.hidden = !stale;
      place.textContent = stale ? `The studio does not answer: this is what was known ${Math.round((now - this.heardAt) / 1000)} s ago.` : "";
    }
    if (ask && !this.asking && !document.hidden) this.ask();
  }

  /** The header alone, from the server. */
  async ask() {
    this.asking = true;
    try {
      const fresh = await this.page();
      const header = fresh.querySelector("run-status");
      if (!header) return;
      const { state = "", fence = "0" } = /** @type {HTMLElement} */ (header).dataset;
      this.toggleAttribute("data-silent", header.hasAttribute("data-silent"));
      if (state !== this.state || Number(fence) !== this.fence) return this.take({ state, fence: Number(fence) });
      this.renew(fresh, document.getElementById("run-status"));
    } catch {
      // tick() says that the studio does not answer
    } finally {
      this.asking = false;
    }
  }

  /** @returns {Promise<Document>} this very page as it is now */
  async page() {
    const response = await fetch(location.href, { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(10000) });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    this.heardAt = this.renderedAt = Date.now();
    return page;
  }

  /**
   * @param {Document} fresh
   * @param {Element | null} part
   */
  renew(fresh, part) {
    const newer = part && fresh.getElementById(part.id);
    if (newer && !part.contains(document.activeElement)) part.replaceChildren(...newer.childNodes);
    refreshTimes();
  }

  /** @param {import("./shown.js").Facts} facts */
  take(facts) {
    this.heardAt = Date.now();
    this.tab(facts);
    fill(this, facts);
    fillBreakdown(document.getElementById("run-breakdown"), facts);
    if (facts.state === this.state && (facts.fence ?? 0) === this.fence) return;
    this.state = facts.state;
    this.fence = facts.fence ?? 0;
    this.dataset.state = facts.state;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(facts), SETTLE_MS);
  }

  /**
   * What depends on the state, from the server: buttons, reason, facts, metrics, history.
   * @param {import("./shown.js").Facts} facts
   */
  async refresh(facts) {
    let fresh;
    try {
      fresh = await this.page();
    } catch {
      this.timer = setTimeout(() => this.refresh(facts), 2000);
      return;
    }
    this.toggleAttribute("data-silent", Boolean(fresh.querySelector("run-status[data-silent]")));
    for (const part of document.querySelectorAll("[data-refresh][id]")) this.renew(fresh, part);
    this.dispatchEvent(new CustomEvent("run-state", { bubbles: true, detail: facts }));
  }
}

customElements.define("run-status", RunStatus);
