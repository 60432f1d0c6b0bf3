// @ts-check
// A logged table: searched, sorted by a click on a column, a page at a time.
import { arranged } from "./media_store.js";

const A_PAGE = 20;
let count = 0;

/**
 * @param {{columns: any[], rows: any[][], total: number}} table
 * @param {string} name what it is called
 * @param {string} csv where the whole of it is as CSV
 */
export function tableView(table, name, csv) {
  const state = { words: "", page: 0, order: /** @type {{column: number, up: boolean} | null} */ (null) };
  const rows = Array.isArray(table.rows) ? table.rows : [];
  const columns = Array.isArray(table.columns) ? table.columns : [];
  const view = element("div", "media-table");
  const tools = element("div", "media-table-tools");
  const search = /** @type {HTMLInputElement} */ (element("input", "form-control form-control-sm"));
  search.type = "search";
  search.id = `media-table-${++count}`;
  search.placeholder = "Search rows";
  search.setAttribute("aria-label", `Search the rows of ${name}`);
  const link = /** @type {HTMLAnchorElement} */ (element("a", "btn btn-sm", "CSV"));
  link.href = csv;
  link.setAttribute("aria-label", `Download ${name} as CSV`);
  tools.append(search, link);
  const scroll = element("div", "table-responsive media-table-scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", name);
  const drawn = element("table", "table table-sm table-vcenter");
  const head = element("thead");
  const body = element("tbody");
  drawn.append(head, body);
  scroll.append(drawn);
  const foot = element("div", "media-table-foot");
  const where = element("span", "text-secondary");
  where.setAttribute("role", "status");
  const back = /** @type {HTMLButtonElement} */ (element("button", "btn btn-sm", "Previous"));
  const on = /** @type {HTMLButtonElement} */ (element("button", "btn btn-sm", "Next"));
  back.type = on.type = "button";
  foot.append(where, back, on);
  view.append(tools, scroll, foot);

  const line = element("tr");
  const buttons = columns.map((title, column) => {
    const cell = element("th", rows.length && rows.every((r) => r[column] === null || typeof r[column] === "number") ? "num" : "");
    cell.setAttribute("scope", "col");
    const button = /** @type {HTMLButtonElement} */ (element("button", "media-sort", String(title)));
    button.type = "button";
    button.addEventListener("click", () => {
      state.order = state.order?.column === column ? (state.order.up ? { column, up: false } : null) : { column, up: true };
      state.page = 0;
      draw();
    });
    cell.append(button);
    line.append(cell);
    return cell;
  });
  head.append(line);
  const draw = () => {
    const found = arranged(rows, state.words, state.order);
    const start = state.page * A_PAGE;
    body.replaceChildren(...found.slice(start, start + A_PAGE).map((row) => {
      const tr = element("tr");
      tr.append(...columns.map((_, i) => element("td", typeof row[i] === "number" ? "num" : "", cellText(row[i]))));
      return tr;
    }));
    buttons.forEach((cell, i) => cell.setAttribute("aria-sort", state.order?.column === i ? (state.order.up ? "ascending" : "descending") : "none"));
    const end = Math.min(start + A_PAGE, found.length);
    const left = table.total > rows.length ? `, the first of ${table.total.toLocaleString("en")} logged` : "";
    where.textContent = found.length ? `${start + 1}–${end} of ${found.length.toLocaleString("en")} rows${left}` : rows.length ? "No row has these words." : "The table has no rows.";
    back.disabled = !state.page;
    on.disabled = end >= found.length;
    back.hidden = on.hidden = found.length <= A_PAGE;
  };
  search.addEventListener("input", () => {
    state.words = search.value;
    state.page = 0;
    draw();
  });
  back.addEventListener("click", () => { state.page--; draw(); });
  on.addEventListener("click", () => { state.page++; draw(); });
  tools.hidden = rows.length <= 5 && !table.total;
  draw();
  return view;
}

/** Six digits of a fraction are read, seventeen are not; the CSV has all. @param {any} cell */
function cellText(cell) {
  if (cell === null || cell === undefined) return "–";
  return typeof cell === "number" && !Number.isInteger(cell) ? String(Number(cell.toPrecision(6))) : String(cell);
}

/**
 * @param {string} tag
 * @param {string} [classes]
 * @param {string} [text]
 */
export function element(tag, classes = "", text = "") {
  const made = document.createElement(tag);
  if (classes) made.className = classes;
  if (text) made.textContent = text;
  return made;
}
