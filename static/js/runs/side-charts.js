// @ts-check
// <side-charts data-url>: beside the table of runs, the curves of those that are chosen, or of the first five.

const GATHER_MS = 300;
const MOST_RUNS = 20;
const FIRST = 5;

export class SideCharts extends HTMLElement {
  connectedCallback() {
    this.hear = () => this.soon();
    document.addEventListener("chosen", this.hear);
    this.soon();
  }

  disconnectedCallback() {
    clearTimeout(this.timer);
    if (this.hear) document.removeEventListener("chosen", this.hear);
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.show(), GATHER_MS);
  }

  /**
   * The rows whose curves are shown say which they are.
   * @param {HTMLElement[]} rows
   * @param {HTMLElement[]} shown
   */
  mark(rows, shown) {
    for (const row of rows) {
      row.querySelector("run-swatch")?.remove();
      if (!shown.includes(row)) continue;
      const look = document.createElement("run-swatch");
      look.dataset.run = row.dataset.run ?? "";
      row.querySelector(".run-name")?.prepend(look, " ");
    }
  }

  show() {
    const rows = [...document.querySelectorAll("runs-table tbody tr[data-run]")].map((row) => /** @type {HTMLElement} */ (row));
    const ticked = rows.filter((row) => /** @type {HTMLInputElement | null} */ (row.querySelector("input[name=run]"))?.checked);
    const shown = (ticked.length ? ticked : rows.slice(0, FIRST)).slice(0, MOST_RUNS);
    const ids = shown.map((row) => row.dataset.run).join(",");
    this.mark(rows, shown);
    if (ids === this.ids || !ids) return;
    this.ids = ids;
    const names = Object.fromEntries(shown.map((row) => [row.dataset.run, `#${row.dataset.number} ${row.querySelector(".run-name bdi")?.textContent ?? ""}`]));
    const words = document.createElement("p");
    words.className = "text-secondary small";
    words.textContent = ticked.length > MOST_RUNS ? `The first ${MOST_RUNS} of ${ticked.length} chosen runs` : ticked.length ? `${ticked.length} chosen` : `The first ${shown.length}; tick rows to see others`;
    const grid = document.createElement("chart-grid");
    grid.className = "charts";
    grid.setAttribute("runs", ids);
    Object.assign(grid.dataset, { names: JSON.stringify(names), url: this.dataset.url ?? "", mode: "overview", objective: this.dataset.objective ?? "val_loss" });
    this.replaceChildren(words, grid);
  }
}

customElements.define("side-charts", SideCharts);
