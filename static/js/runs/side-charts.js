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
    const away = [...document.querySelectorAll("[data-elsewhere] input")].map((one) => /** @type {HTMLInputElement} */ (one));
    const chosen = [
      ...ticked.map((row) => ({ run: row.dataset.run ?? "", name: nameOf(row), row })),
      ...away.map((one) => ({ run: one.value, name: `#${one.dataset.number} ${one.dataset.name ?? ""}`, row: null })),
    ];
    const first = rows.slice(0, FIRST).map((row) => ({ run: row.dataset.run ?? "", name: nameOf(row), row }));
    const shown = (chosen.length ? chosen : first).slice(0, MOST_RUNS);
    const ids = shown.map(({ run }) => run).join(",");
    this.mark(rows, shown.flatMap(({ row }) => row ?? []));
    if (ids === this.ids || !ids) return;
    this.ids = ids;
    const names = Object.fromEntries(shown.map(({ run, name }) => [run, name]));
    const words = document.createElement("p");
    words.className = "text-secondary small";
    words.textContent = chosen.length > MOST_RUNS ? `The first ${MOST_RUNS} of ${chosen.length} chosen runs` : chosen.length ? `${chosen.length} chosen` : `The first ${shown.length}; tick rows to see others`;
    const grid = document.createElement("chart-grid");
    grid.className = "charts";
    grid.setAttribute("runs", ids);
    Object.assign(grid.dataset, { names: JSON.stringify(names), url: this.dataset.url ?? "", mode: "overview", objective: this.dataset.objective ?? "val_loss" });
    this.replaceChildren(words, grid);
  }
}

/** @param {HTMLElement} row */
const nameOf = (row) => `#${row.dataset.number} ${row.querySelector(".run-name bdi")?.textContent ?? ""}`;

customElements.define("side-charts", SideCharts);
