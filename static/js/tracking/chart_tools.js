// @ts-check
// The controls above the charts: what they say becomes part of the layout, and the other way round.

/** @typedef {import("./arrangement.js").Layout} Layout */
/** @typedef {"smoothing" | "x" | "log_x" | "log_y" | "clip" | "events"} Field */

/** @type {Field[]} */
const FIELDS = ["smoothing", "x", "log_x", "log_y", "clip", "events"];

/** @param {string} name @returns {any} */
export function control(name) {
  return document.querySelector(`[data-chart-${name.replace("_", "-")}]`);
}

/**
 * Hear what is chosen; `redraw` for looks alone.
 * @param {(field: Field, value: any) => void} changed
 */
export function hearFields(changed) {
  for (const field of FIELDS) {
    const input = control(field);
    input?.addEventListener(input.type === "range" ? "input" : "change", () => {
      changed(field, input.type === "checkbox" ? input.checked : input.type === "range" ? Number(input.value) : input.value);
    });
  }
}

/** Show what a layout says. @param {Layout} layout */
export function showFields(layout) {
  for (const field of FIELDS) {
    const input = control(field);
    if (!input) continue;
    if (input.type === "checkbox") input.checked = Boolean(layout[field]);
    else input.value = String(layout[field]);
  }
  if (control("x") && !control("x").value) control("x").value = "step"; // this run has no such axis
}

/** @param {string} name @param {() => void} act */
export function hearButton(name, act) {
  control(name)?.addEventListener("click", act);
}
