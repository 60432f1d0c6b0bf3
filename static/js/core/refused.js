// @ts-check
// What htmx or a form could not do is said on the page, beside what would have changed. What was typed stays; a press can be
// tried again by a button. What asks by itself (`hx-trigger="every …"`) goes on asking, and the words leave with its first answer.

export const AWAY = "The studio does not answer. What you typed is still here.";
export const SLOW = "The studio took too long to answer. What you typed is still here.";
export const SIGNED_OUT = 401;

/**
 * What an answer says in words, JSON or a page; a plain sentence with the status where it says nothing.
 * @param {number} status
 * @param {string} said the reason in it, empty for none
 */
export function refusal(status, said) {
  return said || (status >= 500 ? `The studio failed to do this (${status}). The error is in its log.` : `The studio refused this (${status}).`);
}

/** @param {XMLHttpRequest} xhr */
function reason(xhr) {
  try {
    return String(JSON.parse(xhr.responseText).error?.message ?? "");
  } catch {
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    return page.querySelector("main h1")?.textContent?.trim() ?? "";
  }
}

/** The token of the session that this browser has by now: signing in again, in another tab, made the page's one void. */
export const token = () => /(?:^|; )(?:__Host-csrf|studio_csrf)=(\w+)/.exec(document.cookie)?.[1];

/** @type {Map<Element, HTMLElement>} what asked, and the words about it */
const shown = new Map();

/**
 * @param {{elt: HTMLElement, target: HTMLElement | null}} asked
 * @param {string} words
 * @param {boolean} signIn
 */
export function say({ elt, target }, words, signIn = false) {
  const isPress = elt.matches("a, button");
  const before = shown.get(elt);
  if (!isPress && before?.isConnected && before.textContent === words) return; // it asks again and again: said once
  clear(elt);
  const box = document.createElement("div");
  box.className = "alert alert-danger refused";
  box.setAttribute("role", "alert");
  box.append(Object.assign(document.createElement("span"), { textContent: words }));
  if (signIn && isPress) box.append(Object.assign(document.createElement("a"), { href: "/login/", target: "_blank", className: "btn btn-sm", textContent: "Sign in, in a new tab" }));
  if (isPress) box.append(tryAgain(elt));
  const place = target?.isConnected ? target : elt;
  const cell = place.closest("td, th");
  if (cell) cell.prepend(box);
  else place.before(box);
  shown.set(elt, box);
  if (isPress) box.scrollIntoView({ block: "nearest" });
}

/** @param {HTMLElement} elt */
function tryAgain(elt) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-sm", textContent: "Try again" });
  button.addEventListener("click", () => {
    elt.focus(); // the button that has it will be gone
    elt.click();
  });
  return button;
}

/** @param {Element} elt */
function clear(elt) {
  for (const [one, box] of shown) {
    if (one !== elt && one.isConnected) continue;
    box.remove();
    shown.delete(one);
  }
}

if (typeof document !== "undefined") {
  /** @param {string} name @param {(detail: any) => void} act */
  const on = (name, act) => document.addEventListener(name, (event) => act(/** @type {CustomEvent} */ (event).detail));
  on("htmx:configRequest", (detail) => {
    const now = token();
    if (!now) return;
    detail.headers["X-CSRFToken"] = now;
    if (detail.parameters.csrfmiddlewaretoken) detail.parameters.csrfmiddlewaretoken = now;
  });
  on("htmx:sendError", (detail) => say(detail, AWAY));
  on("htmx:timeout", (detail) => say(detail, SLOW));
  on("htmx:responseError", (detail) => say(detail, refusal(detail.xhr.status, reason(detail.xhr)), detail.xhr.status === SIGNED_OUT));
  on("htmx:afterRequest", (detail) => detail.successful && clear(detail.requestConfig.elt));
}
