// @ts-check
// Keeps how somebody arranged the charts of a project, a moment after the last change and before the page is left.

const WAIT_MS = 600;

export class LayoutStore {
  /**
   * @param {string} url
   * @param {string} token
   * @param {(words: string) => void} say
   */
  constructor(url, token, say) {
    this.url = url;
    this.token = token;
    this.say = say;
    /** @type {object | null} what waits to be kept */
    this.waiting = null;
    this.onHide = () => void this.flush();
    addEventListener("pagehide", this.onHide);
  }

  close() {
    removeEventListener("pagehide", this.onHide);
    void this.flush();
  }

  /** @param {import("./arrangement.js").Layout} layout */
  keep(layout) {
    if (!this.url) return;
    this.waiting = sent(layout);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), WAIT_MS);
  }

  async flush() {
    const body = this.waiting;
    if (!body) return;
    this.waiting = null;
    clearTimeout(this.timer);
    await this.ask(this.url, "PUT", body);
  }

  /** Back to the project's layout; resolves with it. */
  async reset() {
    this.waiting = null;
    clearTimeout(this.timer);
    return this.ask(this.url, "DELETE");
  }

  /** For the members of the project who arranged nothing. @param {import("./arrangement.js").Layout} layout */
  share(layout) {
    return this.ask(`${this.url}shared/`, "PUT", sent(layout));
  }

  /**
   * @param {string} url
   * @param {"PUT" | "DELETE"} method
   * @param {object} [body]
   * @returns {Promise<import("./arrangement.js").Layout | null>} null when it was refused, which is said
   */
  async ask(url, method, body) {
    try {
      const response = await fetch(url, {
        method, credentials: "same-origin", keepalive: true, headers: { "X-CSRFToken": this.token, "Content-Type": "application/json" },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      const found = await response.json();
      if (response.ok) return found;
      this.say(`The layout was not kept. ${found.error?.message ?? ""}`);
    } catch {
      this.say("The layout was not kept: the server cannot be reached. The next change tries again.");
    }
    return null;
  }
}

/** What the server takes. @param {import("./arrangement.js").Layout} layout */
function sent({ whose: _, ...layout }) {
  return layout;
}
