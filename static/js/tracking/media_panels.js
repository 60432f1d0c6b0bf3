// @ts-check
// <media-panels>: the media of one run, asked for by a cursor, and again when the live channel says that there are more.
import { subscribe } from "../live.js";
import { Panel } from "./media_panel.js";
import { MediaStore } from "./media_store.js";
import { element } from "./media_table.js";

const MOST_PANELS = 200;
const RETRY_MS = 2000;

class MediaPanels extends HTMLElement {
  connectedCallback() {
    this.store = new MediaStore();
    /** @type {Map<string, Panel>} */
    this.panels = new Map();
    this.linked = false;
    this.busy = this.again = false;
    this.grid = /** @type {HTMLElement} */ (this.querySelector("[data-media-grid]"));
    this.filter = /** @type {HTMLInputElement} */ (this.querySelector("[data-media-filter]"));
    this.watcher = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) this.panels.get(/** @type {HTMLElement} */ (target).dataset.media ?? "")?.see(isIntersecting);
    }, { rootMargin: "300px" });
    this.themes = new MutationObserver(() => this.panels.forEach((panel) => panel.touch()));
    this.themes.observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
    this.filter.addEventListener("input", () => this.arrange());
    this.querySelector("[data-media-tools]")?.addEventListener("submit", (event) => event.preventDefault());
    const link = /** @type {HTMLInputElement | null} */ (this.querySelector("[data-media-linked] input"));
    link?.addEventListener("change", () => { this.linked = link.checked; });
    this.ask();
    // The points are of no interest here: a cursor beyond all of them.
    this.unsubscribe = subscribe(`run:${this.dataset.run}`, Number.MAX_SAFE_INTEGER, (message) => message.t === "media" && this.ask());
  }

  disconnectedCallback() {
    this.unsubscribe?.();
    clearTimeout(this.retry);
    this.watcher?.disconnect();
    this.themes?.disconnect();
  }

  /** Ask for what is new until there is no more; calls meanwhile make it ask once again. */
  async ask() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    clearTimeout(this.retry);
    try {
      while (this.again && this.isConnected) {
        this.again = false;
        this.again = (await this.askOnce()) || this.again;
      }
    } catch (error) {
      this.say(`Media could not be loaded (${/** @type {Error} */ (error).message}). Trying again.`);
      this.retry = setTimeout(() => this.ask(), RETRY_MS);
    } finally {
      this.busy = false;
    }
  }

  /** @returns {Promise<boolean>} whether there is more */
  async askOnce() {
    const store = /** @type {MediaStore} */ (this.store);
    const url = new URL(this.dataset.url ?? "", location.href);
    url.searchParams.set("after", String(store.cursor));
    const response = await fetch(url, { credentials: "same-origin" });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const answer = await response.json();
    const touched = store.take(answer);
    if (!touched) {
      this.panels?.forEach((panel) => panel.element.remove());
      this.panels?.clear();
      return true;
    }
    this.say("");
    this.arrange(touched);
    return answer.more;
  }

  /** @param {Set<string>} [touched] names of the groups that changed */
  arrange(touched = new Set()) {
    const { grid, panels, store, watcher } = this;
    if (!grid || !panels || !store) return;
    this.querySelectorAll("[data-media-fallback], [data-media-without-js]").forEach((old) => old.remove());
    const all = store.matching(this.filter?.value ?? "");
    const shown = all.slice(0, MOST_PANELS);
    const wanted = new Set(shown.map((group) => group.name));
    for (const [name, panel] of panels) {
      panel.element.hidden = !wanted.has(name);
      if (touched.has(name)) panel.arrange();
    }
    /** @type {Element | null} */
    let before = null;
    for (const group of shown) {
      let panel = panels.get(group.name);
      if (!panel) {
        panel = new Panel(group, this.dataset.files ?? "", (step) => this.move(group.name, step));
        panels.set(group.name, panel);
        if (before) before.after(panel.element);
        else grid.prepend(panel.element);
        watcher?.observe(panel.element);
      }
      before = panel.element;
    }
    this.tell(all.length, shown.length);
  }

  /**
   * @param {number} found
   * @param {number} shown
   */
  tell(found, shown) {
    const some = Boolean(this.store?.groups.size);
    const find = (/** @type {string} */ name) => /** @type {HTMLElement | null} */ (this.querySelector(`[data-media-${name}]`));
    const [tools, empty, linked] = [find("tools"), find("empty"), find("linked")];
    if (tools) tools.hidden = !some;
    if (empty) empty.hidden = some;
    if (linked) linked.hidden = ![...(this.store?.groups.values() ?? [])].some((group) => group.steps.length > 1);
    if (some && !found) this.say("No key has these words.");
    else if (shown < found) this.say(`${shown} of ${found} keys are shown; search for the others.`);
    else if (some) this.say("");
  }

  /**
   * Somebody moved the slider of one panel.
   * @param {string} name
   * @param {number} step
   */
  move(name, step) {
    if (!this.linked) return;
    for (const [other, panel] of this.panels ?? []) if (other !== name) panel.showStep(step);
  }

  /** @param {string} words */
  say(words) {
    let line = this.querySelector(".media-said");
    if (!line && !words) return;
    if (!line) {
      line = element("p", "text-secondary media-said");
      line.setAttribute("role", "status");
      this.grid?.after(line);
    }
    line.textContent = words;
  }
}

customElements.define("media-panels", MediaPanels);
