// @ts-check
// <run-list data-channel="project:3">: keeps the rows of a list of runs fresh. A row whose state has changed is fetched
// again with the list's own address; a run that is not in the list yet makes it fetch once.
import { refreshTimes } from "../core/times.js";
import { subscribe } from "../live.js";
import { fill, isEnded } from "./shown.js";

const GATHER_MS = 250;
const CHECK_MS = 15000; // what was missed while the connection was away

export class RunList extends HTMLElement {
  connectedCallback() {
    this.end = subscribe(this.dataset.channel ?? "", 0, (message) => {
      if (message.t === "s") this.take(message.d);
    });
    this.check = setInterval(() => {
      const rows = /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("tr[data-state]"));
      if (!document.hidden && [...rows].some((row) => !isEnded(row.dataset.state ?? ""))) this.refresh();
    }, CHECK_MS);
  }

  disconnectedCallback() {
    this.end?.();
    clearTimeout(this.timer);
    clearInterval(this.check);
  }

  /** @param {import("./shown.js").Facts & {run: number}} facts */
  take(facts) {
    const row = /** @type {HTMLElement | null} */ (this.querySelector(`tr[data-run="${Number(facts.run)}"]`));
    if (row) fill(row, facts);
    if (row?.dataset.state === facts.state) return;
    this.timer ??= setTimeout(() => this.refresh(), GATHER_MS);
  }

  async refresh() {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    this.timer = undefined;
    if (!response?.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const body = fresh.querySelector("run-list tbody");
    const mine = this.querySelector("tbody");
    if (!body || !mine || mine.contains(document.activeElement)) return;
    const boxes = () => /** @type {NodeListOf<HTMLInputElement>} */ (mine.querySelectorAll("input[name=run]"));
    const before = new Map([...boxes()].map((box) => [box.value, box.checked])); // ticked meanwhile, perhaps
    mine.replaceChildren(...body.childNodes);
    for (const box of boxes()) box.checked = before.get(box.value) ?? box.checked;
    const away = fresh.querySelector("[data-elsewhere]"); // new rows may have pushed ticked ones off the page
    if (away) document.querySelector("[data-elsewhere]")?.replaceWith(document.adoptNode(away));
    mine.dispatchEvent(new CustomEvent("rows", { bubbles: true }));
    refreshTimes();
  }
}

customElements.define("run-list", RunList);
