// @ts-check
// A form is sent when the studio answers and still knows who sends it. Otherwise the browser would leave the page, for one of
// its own or for the log-in, and what was typed would be gone: here it stays, the page says why, and it can be sent again.
// Without this, or in the moment between the question and the sending, a form is sent as forms are.
import { AWAY, SIGNED_OUT, SLOW, refusal, say, token } from "./refused.js";

const WAIT_MS = 10000;
const SIGN_IN = "You are signed out. Sign in and try again: what you typed is still here.";

/**
 * Why nothing can be sent now, in words; empty when it can.
 * @param {string} url what answers quickly: to whoever is signed in, or to anybody
 * @param {(url: string, init: RequestInit) => Promise<{status: number}>} ask
 * @returns {Promise<{words: string, signIn: boolean}>}
 */
export async function obstacle(url, ask = fetch) {
  try {
    const { status } = await ask(url, { cache: "no-store", signal: AbortSignal.timeout(WAIT_MS) });
    if (status === SIGNED_OUT) return { words: SIGN_IN, signIn: true };
    return { words: status >= 500 ? refusal(status, "") : "", signIn: false };
  } catch (error) {
    return { words: /** @type {Error} */ (error).name === "TimeoutError" ? SLOW : AWAY, signIn: false };
  }
}

/**
 * Whether the browser itself would send the form, to the studio, and come back with another page.
 * @param {HTMLFormElement} form
 * @param {HTMLElement | null} submitter
 */
function isOrdinary(form, submitter) {
  // Not `form.method`: a field may have that name.
  const method = submitter?.getAttribute("formmethod") ?? form.getAttribute("method");
  return method?.toLowerCase() === "post" && !form.hasAttribute("target") && !form.matches("[hx-post], [data-move-form]") && !submitter?.matches("[hx-post]");
}

/** @param {HTMLFormElement} form @returns {HTMLElement | null} what Enter in a field presses */
const usual = (form) => /** @type {HTMLElement | null} */ ([...form.elements].find((one) => one.matches("button[type=submit], button:not([type]), input[type=submit]")) ?? null);

/**
 * The row of a form in which its button is, or the form where there is nothing else in it.
 * @param {HTMLFormElement} form
 * @param {HTMLElement} button
 */
function rowOf(form, button) {
  if (!form.closest("main")) return /** @type {HTMLElement} */ (document.querySelector("main > *"));
  if (!form.contains(button) || !form.querySelector("textarea, select, input:not([type=hidden])")) return form;
  let row = button;
  while (row.parentElement && row.parentElement !== form) row = row.parentElement;
  return row;
}

if (typeof document !== "undefined") {
  const bell = /** @type {HTMLElement | null} */ (document.querySelector("notification-bell"));
  const url = bell?.dataset.url ?? "/healthz";
  const asking = new WeakSet(); // two presses are one
  const answered = new WeakSet();

  // Before the elements' own listeners: to them a form that cannot be sent was never sent.
  document.addEventListener("submit", async (event) => {
    const form = /** @type {HTMLFormElement} */ (event.target);
    const submitter = /** @type {HTMLButtonElement | null} */ (event.submitter);
    if (answered.delete(form) || !isOrdinary(form, submitter)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (asking.has(form)) return;
    asking.add(form);
    const { words, signIn } = await obstacle(url);
    asking.delete(form);
    const button = submitter ?? usual(form) ?? form;
    if (words) return say({ elt: button, target: rowOf(form, button) }, words, signIn);
    const now = token();
    const field = /** @type {HTMLInputElement | null} */ (form.elements.namedItem("csrfmiddlewaretoken"));
    if (now && field) field.value = now;
    answered.add(form);
    form.requestSubmit(submitter);
    answered.delete(form); // it was not valid after all
  }, { capture: true });
}
