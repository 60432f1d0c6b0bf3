// @ts-check
// Keeps how somebody arranged the charts of a project, a moment after the last change and before the page is left.
// What the server has not confirmed is also kept in the tab: a page that is loaded again may be ahead of the request.

const WAIT_MS = 600;
const MOST_AGE_MS = 60_000;

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
    remember(this.url, this.waiting);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.flush(), WAIT_MS);
  }

  async flush() {
    const body = this.waiting;
    if (!body) return;
    this.waiting = null;
    clearTimeout(this.timer);
    if (await this.ask(this.url, "PUT", body)) forget(this.url, body);
  }

  /** What was chosen in this tab a moment ago and may be newer than what the page came with; it is sent again. */
  unconfirmed() {
    const layout = this.url ? remembered(this.url) : null;
    if (layout) this.keep(layout);
    return layout;
  }

  /** Back to the project's layout; resolves with it. */
  async reset() {
    this.waiting = null;
    forget(this.url);
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
      forget(this.url); // asking again would be refused again
      this.say(`The layout was not kept. ${found.error?.message ?? ""}`);
    } catch {
      this.say("The layout was not kept: the server cannot be reached. The next change tries again.");
    }
    return null;
  }
}

const keyOf = (/** @type {string} */ url) => `chart-layout ${url}`;

/** @param {string} url @param {object} layout */
function remember(url, layout) {
  sessionStorage.setItem(keyOf(url), JSON.stringify({ at: Date.now(), layout }));
}

/** @param {string} url @returns {any} null when there is none, or none that is fresh */
function remembered(url) {
  const { at = 0, layout = null } = JSON.parse(sessionStorage.getItem(keyOf(url)) ?? "{}");
  return Date.now() - at < MOST_AGE_MS ? layout : null;
}

/** @param {string} url @param {object} [layout] unless another one has taken its place */
function forget(url, layout) {
  if (!layout || JSON.stringify(remembered(url)) === JSON.stringify(layout)) sessionStorage.removeItem(keyOf(url));
}

/** What the server takes. @param {import("./arrangement.js").Layout} layout */
function sent({ whose: _, ...layout }) {
  return layout;
}
