// @ts-check
// The sheet of the keys of this page, which ? shows: those of every page, those that the page lists, and the letters after G.

const EVERYWHERE = [
  [["Ctrl", "K"], "search everything and do what this page offers"],
  [["/"], "write in the filter or the search of the page"],
  [["."], "what can be done on this page"],
  [["?"], "this sheet"],
];

/** @returns {boolean} */
export function showSheet() {
  if (!document.querySelector("command-palette")) return false; // nobody is signed in
  const dialog = document.createElement("dialog");
  dialog.className = "key-sheet";
  dialog.setAttribute("aria-labelledby", "key-sheet-title");
  const title = document.createElement("h2");
  title.id = "key-sheet-title";
  title.textContent = "Keys of this page";
  const close = document.createElement("button");
  close.className = "btn";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  const note = document.createElement("p");
  note.className = "text-secondary small mt-3";
  note.append("All but the first can be switched off in ", link("your account", "/account/"), ".");
  dialog.append(title, list(), note, close);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
  return true;
}

function list() {
  const all = document.createElement("dl");
  all.className = "facts";
  for (const [keys, words] of EVERYWHERE) all.append(...row(/** @type {string[]} */ (keys), /** @type {string} */ (words)));
  for (const own of document.querySelectorAll("[data-page-keys]")) all.append(...[...own.children].map((one) => one.cloneNode(true)));
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-key]"))) all.append(...row([one.dataset.key ?? ""], words(one)));
  for (const one of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-go]"))) all.append(...row(["G", one.dataset.go ?? ""], `go to ${words(one)}`));
  return all;
}

/** @param {HTMLElement} element */
const words = (element) => (element.textContent ?? "").trim().replace(/\s+/g, " ");

/**
 * @param {string[]} keys
 * @param {string} text
 */
function row(keys, text) {
  const term = document.createElement("dt");
  for (const key of keys) {
    const cap = document.createElement("kbd");
    cap.textContent = key.length === 1 ? key.toUpperCase() : key;
    term.append(cap, " ");
  }
  const meaning = document.createElement("dd");
  meaning.textContent = text;
  return [term, meaning];
}

/**
 * @param {string} text
 * @param {string} href
 */
function link(text, href) {
  const made = document.createElement("a");
  made.href = href;
  made.textContent = text;
  return made;
}
