// @ts-check
// <shared-live>: asks every data-every seconds whether what a link shows has changed, and shows it; ends when it does not
// open any more. Without it the page is what it was when it was loaded.
import { refreshTimes } from "../core/times.js";

const GONE = "This link does not open anything any more. It was taken back or has expired.";

export class SharedLive extends HTMLElement {
  connectedCallback() {
    this.wait();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
  }

  wait() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), 1000 * (Number(this.dataset.every) || 4));
  }

  get body() {
    return /** @type {HTMLElement | null} */ (this.querySelector(".shared-body"));
  }

  async ask() {
    const url = new URL(this.dataset.url ?? "", location.href);
    url.searchParams.set("cursor", this.body?.dataset.cursor ?? "");
    try {
      const response = await fetch(url, { credentials: "same-origin" });
      if (response.status === 404 || response.status === 401) return this.end();
      if (response.status === 200) this.show(await response.text());
    } catch {
      // The network is away: the page stays as it is, and the next try comes.
    }
    if (this.body && "pending" in this.body.dataset) this.wait();
  }

  /** @param {string} html of the server's own template */
  show(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").querySelector(".shared-body");
    if (fresh) this.body?.replaceWith(document.adoptNode(fresh));
    refreshTimes();
  }

  /** Nothing of what was shared stays on the page. */
  end() {
    const line = document.createElement("p");
    line.className = "shared-none";
    line.setAttribute("role", "alert");
    line.textContent = GONE;
    const head = document.createElement("h1");
    head.className = "h2";
    head.textContent = "No longer shared";
    const box = document.createElement("div");
    box.className = "card card-body shared-box";
    box.append(head, line);
    this.replaceChildren(box);
    document.title = "No longer shared";
  }
}

customElements.define("shared-live", SharedLive);
