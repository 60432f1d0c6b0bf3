// @ts-check
// A part of a page that is replaced under the hands of whoever uses it: what is typed in it, where the focus is and which
// folds are open go over to what comes. Parts that htmx asks for again and again (`hx-trigger="every …"`) do so by themselves.

/** @typedef {HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement} Field */

const FIELDS = "input[name]:not([type=hidden], [type=checkbox], [type=radio]), textarea[name], select[name]";
const CONTROLS = "a[href], button, summary, input, textarea, select, [tabindex]";

/**
 * What finds the same control in the newer part, also when its row has moved.
 * @param {Element} one
 */
function nameOf(one) {
  const row = /** @type {HTMLElement | null} */ (one.closest("tr[data-run]"))?.dataset.run;
  const own = ["name", "value", "href", "aria-label"].map((name) => one.getAttribute(name));
  return [row, one.tagName, ...own, one.matches("input, textarea") ? "" : one.textContent?.trim()].join("\n");
}

/**
 * Looks at a part; what it returns makes the newer one like it.
 * @param {Element} part
 * @returns {(newer: Element) => void}
 */
export function keep(part) {
  const fields = /** @type {NodeListOf<Field>} */ (part.querySelectorAll(FIELDS));
  const values = new Map([...fields].map((field) => [field.name, field.value]));
  const open = new Set([...part.querySelectorAll("details[open] > summary")].map(nameOf));
  const active = part.contains(document.activeElement) ? document.activeElement : null;
  const name = active && nameOf(active);
  const selection = active instanceof HTMLTextAreaElement || active instanceof HTMLInputElement ? [active.selectionStart, active.selectionEnd] : [null];
  return (newer) => {
    for (const field of /** @type {NodeListOf<Field>} */ (newer.querySelectorAll(FIELDS))) field.value = values.get(field.name) ?? field.value;
    for (const fold of newer.querySelectorAll("details > summary")) if (open.has(nameOf(fold))) fold.parentElement?.setAttribute("open", "");
    const same = [...newer.querySelectorAll(CONTROLS)].find((one) => nameOf(one) === name);
    if (!(same instanceof HTMLElement)) return;
    same.focus({ preventScroll: true });
    const [from, to] = selection;
    if (typeof from === "number") /** @type {HTMLInputElement} */ (same).setSelectionRange(from, to ?? from);
  };
}

if (typeof document !== "undefined") {
  /** @type {{id: string, restore: (newer: Element) => void} | null} */
  let kept = null;
  document.addEventListener("htmx:beforeSwap", ({ target }) => {
    const part = /** @type {Element} */ (target);
    kept = part.id && part.getAttribute("hx-trigger")?.startsWith("every") ? { id: part.id, restore: keep(part) } : null;
  });
  document.addEventListener("htmx:afterSwap", () => {
    const newer = kept && document.getElementById(kept.id);
    if (newer) kept?.restore(newer);
    kept = null;
  });
}
