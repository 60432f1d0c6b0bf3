// @ts-check
// <runs-table>: rows are walked, chosen and compared by keys; the bar below says how many are chosen, and so does the address.
import { isPlain } from "../core/keys.js";
import { chosenWords, compareWords } from "./shown.js";
import { keepTicked, MOST, sendTicked } from "./ticked.js";

export class RunsTable extends HTMLElement {
  connectedCallback() {
    this.here = -1;
    this.last = -1;
    this.onkey = (/** @type {KeyboardEvent} */ event) => this.key(event);
    document.addEventListener("keydown", this.onkey);
    this.addEventListener("click", (event) => this.click(event));
    this.addEventListener("change", () => this.count());
    this.addEventListener("rows", () => this.count());
    document.querySelector("[data-scope]")?.addEventListener("change", () => this.count());
    document.querySelector("[data-untick]")?.addEventListener("click", (event) => this.untick(event));
    document.addEventListener("submit", sendTicked, true);
    this.count();
  }

  disconnectedCallback() {
    if (this.onkey) document.removeEventListener("keydown", this.onkey);
    document.removeEventListener("submit", sendTicked, true);
  }

  /** @returns {HTMLTableRowElement[]} */
  get rows() {
    return [...this.querySelectorAll("tbody tr")].map((row) => /** @type {HTMLTableRowElement} */ (row));
  }

  /**
   * @param {HTMLElement | undefined} row
   * @returns {HTMLInputElement | null}
   */
  box(row) {
    return row?.querySelector("input[name=run]") ?? null;
  }

  /** @param {MouseEvent} event */
  click(event) {
    const target = /** @type {HTMLInputElement} */ (event.target);
    if (target.matches("[data-tick-all]")) {
      for (const row of this.rows) this.tick(row, target.checked);
    } else if (target.matches("input[name=run]")) {
      const at = this.rows.findIndex((row) => row.contains(target));
      if (event.shiftKey && this.last >= 0) this.range(this.last, at, target.checked);
      this.last = at;
    }
    this.count();
  }

  /**
   * @param {number} one
   * @param {number} other
   * @param {boolean} on
   */
  range(one, other, on) {
    for (const row of this.rows.slice(Math.min(one, other), Math.max(one, other) + 1)) this.tick(row, on);
  }

  /**
   * @param {HTMLElement} row
   * @param {boolean} on
   */
  tick(row, on) {
    const box = this.box(row);
    if (box) box.checked = on;
  }

  /** The ticked runs that the page does not show. @returns {HTMLInputElement[]} */
  get elsewhere() {
    return [...document.querySelectorAll("[data-elsewhere] input")].map((one) => /** @type {HTMLInputElement} */ (one));
  }

  /** @param {Event} event */
  untick(event) {
    event.preventDefault();
    for (const row of this.rows) this.tick(row, false);
    document.querySelector("[data-elsewhere]")?.replaceChildren();
    this.count();
    this.box(this.rows[Math.max(this.here, 0)])?.focus({ preventScroll: true }); // the link is away now
  }

  /** Numbers of all ticked runs; what is more than MOST is unticked. */
  ticked() {
    const away = this.elsewhere;
    const here = this.rows.filter((row) => this.box(row)?.checked);
    for (const row of here.splice(Math.max(MOST - away.length, 0))) this.tick(row, false);
    return [...away, ...here].map((one) => Number(one.dataset.number)).sort((a, b) => a - b);
  }

  count() {
    const ticked = this.ticked();
    const boxes = this.rows.map((row) => this.box(row));
    const here = boxes.filter((box) => box?.checked).length;
    const count = ticked.length;
    keepTicked(ticked);
    document.querySelector("[data-untick]")?.toggleAttribute("hidden", !count);
    const scope = /** @type {HTMLInputElement | null} */ (document.querySelector("[data-scope]"));
    const words = document.querySelector("[data-chosen-count]");
    const every = document.querySelector("[data-count]")?.getAttribute("data-count") ?? "";
    if (words) words.textContent = chosenWords(Boolean(scope?.checked), count, Number(every), count - here);
    const compare = document.querySelector("[data-compare]");
    const icon = compare?.querySelector("svg");
    if (compare) compare.replaceChildren(...(icon ? [icon] : []), ` ${compareWords(Boolean(scope?.checked), count, Number(every))}`);
    const all = /** @type {HTMLInputElement | null} */ (this.querySelector("[data-tick-all]"));
    if (all) {
      all.checked = here > 0 && here === boxes.length;
      all.indeterminate = here > 0 && here < boxes.length;
    }
    this.dispatchEvent(new CustomEvent("chosen", { bubbles: true }));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (!isPlain(event)) return;
    const act = { j: () => this.go(1), k: () => this.go(-1), x: () => this.toggle(event.shiftKey), X: () => this.toggle(true), c: () => this.compare(), p: () => this.follow("[data-pin]"), b: () => this.follow("[data-base]"), r: () => this.again(), Enter: () => this.enter(event) }[event.key];
    if (!act) return;
    if (act() !== false) event.preventDefault();
  }

  /** @param {number} step */
  go(step) {
    const rows = this.rows;
    if (!rows.length) return;
    this.here = Math.min(Math.max(this.here + step, 0), rows.length - 1);
    rows.forEach((row, i) => row.classList.toggle("is-here", i === this.here));
    this.box(rows[this.here])?.focus({ preventScroll: true });
    rows[this.here].scrollIntoView({ block: "nearest" });
  }

  /** @param {boolean} upTo */
  toggle(upTo) {
    const box = this.box(this.rows[this.here]);
    if (!box) return;
    const on = !box.checked;
    if (upTo && this.last >= 0) this.range(this.last, this.here, on);
    else box.checked = on;
    this.last = this.here;
    this.count();
  }

  compare() {
    /** @type {HTMLElement | null} */ (document.querySelector("[data-compare]"))?.click();
  }

  /** @param {KeyboardEvent} event */
  enter(event) {
    const link = /** @type {HTMLElement | null} */ (this.rows[this.here]?.querySelector(".run-name a"));
    if (!link || /** @type {HTMLElement} */ (event.target).closest("a, button, summary")) return false;
    link.click();
  }

  /**
   * As if the link of the row were pressed.
   * @param {string} which
   */
  follow(which) {
    const link = /** @type {HTMLElement | null} */ (this.rows[this.here]?.querySelector(which));
    if (!link) return false;
    link.click();
  }

  /** To the order, not the order itself: no training starts by one key. */
  again() {
    const order = /** @type {HTMLElement | null} */ (document.querySelector("[data-rerun]"));
    const row = this.rows[this.here];
    if (!order) return false;
    if (row && !this.ticked().length) this.tick(row, true);
    this.count();
    order.closest("details")?.setAttribute("open", "");
    order.focus();
  }
}

customElements.define("runs-table", RunsTable);
