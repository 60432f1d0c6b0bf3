// @ts-check
// <notification-bell>: how many notifications are not read, asked for again while the page is looked at.
import { idle } from "../core/idle.js";

const EVERY_MS = 30000;
const BEGIN_MS = 2000; // at the latest

/**
 * What stands on the bell: nothing for none, "99+" for more than fit.
 * @param {number} unread
 */
export function countText(unread) {
  return unread > 99 ? "99+" : unread > 0 ? String(unread) : "";
}

if (globalThis.customElements) {
  class NotificationBell extends HTMLElement {
    connectedCallback() {
      this.onVisible = () => { if (!document.hidden) this.load(); };
      document.addEventListener("visibilitychange", this.onVisible);
      this.timer = setInterval(this.onVisible, EVERY_MS);
      void idle(BEGIN_MS).then(() => this.load());
    }

    disconnectedCallback() {
      clearInterval(this.timer);
      document.removeEventListener("visibilitychange", /** @type {() => void} */ (this.onVisible));
    }

    async load() {
      const badge = /** @type {HTMLElement | null} */ (this.querySelector(".bell-count"));
      const words = this.querySelector(".visually-hidden");
      if (!badge || !words) return;
      try {
        const response = await fetch(this.dataset.url ?? "", { credentials: "same-origin" });
        if (!response.ok) return;
        const { unread } = await response.json();
        badge.textContent = countText(unread);
        badge.hidden = !unread;
        words.textContent = unread ? `Notifications, ${countText(unread)} new` : "Notifications";
      } catch {
        // The server is away for a moment: asked again.
      }
    }
  }
  customElements.define("notification-bell", NotificationBell);
}
