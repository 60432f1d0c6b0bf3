// @ts-check
// Keys of every page: the palette, the search, the sheet of keys, G and a letter to go, and `data-key` of what a page offers.
//
// `data-go="r"` on a link: G, then R. `data-key="r"` on a link or button: R does what a click does. A page lists keys of
// its own in `<dl hidden data-page-keys>`. Single keys can be switched off in the account; none is taken while somebody types.
import { showSheet } from "./key-sheet.js";

const TYPED = "input:not([type=checkbox], [type=radio], [type=button], [type=submit], [type=range]), textarea, select, [contenteditable], [role=textbox]";
const GO_MS = 2000;
let wentAt = -Infinity;

/**
 * Whether the key means something by itself: pressed without Ctrl or Alt, outside of fields and dialogs, taken by nobody.
 * @param {KeyboardEvent} event
 */
export function isPlain(event) {
  if (document.documentElement.dataset.keys === "off") return false;
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = /** @type {Element | null} */ (event.composedPath?.()[0] ?? event.target); // which may lie in a shadow root
  return !target?.closest?.(TYPED) && !document.querySelector("dialog[open]");
}

/** @param {KeyboardEvent} event */
export const isPaletteKey = (event) => (event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k";

/** @param {boolean} actionsOnly */
function openPalette(actionsOnly) {
  const palette = /** @type {any} */ (document.querySelector("command-palette"));
  palette?.open(actionsOnly);
  return Boolean(palette);
}

/** The page's filter or search, else the palette. */
function find() {
  const main = document.getElementById("main");
  const field = [...(main?.querySelectorAll("#q, [data-find], input[type=search]") ?? [])].find((one) => one.checkVisibility?.() ?? true);
  if (!field) return openPalette(false);
  /** @type {HTMLInputElement} */ (field).focus();
  /** @type {HTMLInputElement} */ (field).select?.();
  return true;
}

/**
 * @param {"go" | "key"} kind
 * @param {string} letter
 */
function click(kind, letter) {
  if (!/^[a-z]$/.test(letter)) return false;
  const element = /** @type {HTMLElement | null} */ (document.querySelector(`[data-${kind}="${letter}"]:not(:disabled)`));
  element?.click();
  return Boolean(element);
}

/** @param {KeyboardEvent} event */
function take(event) {
  if (isPaletteKey(event)) return !document.querySelector("dialog[open]:not(.palette)") && openPalette(false);
  if (!isPlain(event)) return false;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const going = event.timeStamp - wentAt < GO_MS;
  wentAt = -Infinity;
  if (going && click("go", key)) return true;
  if (key === "g" && !event.shiftKey) {
    wentAt = event.timeStamp;
    return true;
  }
  if (key === "/") return find();
  if (key === ".") return openPalette(true);
  if (key === "?") return showSheet();
  return !event.shiftKey && click("key", key);
}

if (typeof document !== "undefined") {
  document.addEventListener("keydown", (event) => {
    if (take(event)) event.preventDefault();
  });
}
