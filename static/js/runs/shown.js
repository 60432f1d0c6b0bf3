// @ts-check
// What a state message shows in the header of a run and in a row of a list; pure, so that it can be tested.
import { duration } from "../core/times.js";
import { MOST } from "./ticked.js";

/** @typedef {{name: string, seconds: number, share: number, start: number}} Part */
/** @typedef {{parts: Part[], advice: string, logging?: string}} Breakdown */
/** @typedef {{words?: string, fraction?: number | null, eta_s?: number | null, value?: string, breakdown?: Breakdown | null}} Shown */
/** @typedef {{state: string, reason?: string, fence?: number, shown?: Shown}} Facts */

const ENDED = new Set(["succeeded", "failed", "cancelled"]);
const MARKS = new Map([["succeeded", "✓"], ["failed", "✕"], ["cancelled", "■"]]);
const HELD = new Set(["starting", "running", "pausing", "cancelling"]);

const ASK_AFTER_MS = 6000; // of silence: a heartbeat comes every 5 s, news of progress more often
const STALE_AFTER_MS = 20000;

/**
 * What to do about what is shown, `age` ms after the studio was heard last: ask again, or say that it is old.
 * @param {number} age
 * @param {boolean} ended an ended run does not change
 */
export const freshness = (age, ended) => ({ ask: !ended && age >= ASK_AFTER_MS, stale: !ended && age >= STALE_AFTER_MS });

/**
 * Seconds of a countdown that are left `elapsed` ms after it was written.
 * @param {number} seconds
 * @param {number} elapsed
 */
export function countdown(seconds, elapsed) {
  const left = Math.ceil(seconds - elapsed / 1000);
  return left > 0 ? `${left} s` : "a moment";
}

/** @param {string} state */
export const isEnded = (state) => ENDED.has(state);

/** @param {string} state */
export const isHeld = (state) => HELD.has(state);

/** @param {number} fraction */
export const percent = (fraction) => `${Math.round(fraction * 100)} %`;

/** @param {number | null | undefined} seconds */
export const left = (seconds) => (seconds == null ? "" : `${duration(seconds)} left`);

/**
 * Title of the tab: how far it is, or how it ended, and its most telling number, before the run's own title.
 * @param {string} title
 * @param {Facts} facts
 */
export function tabTitle(title, facts) {
  const bare = title.replace(/^(\d+ %|[✓✕■])( · [^\u2002]*)?\u2002/, "");
  const mark = MARKS.get(facts.state);
  const { fraction, value } = facts.shown ?? {};
  const place = mark ?? (facts.state === "running" && fraction != null ? percent(fraction) : "");
  return place ? `${[place, value].filter(Boolean).join(" · ")}\u2002${bare}` : bare;
}

/**
 * Fill the elements `[data-words]`, `[data-percent]`, `[data-eta]`, `[data-progress]` below `root`.
 * @param {ParentNode} root
 * @param {Facts} facts
 */
export function fill(root, facts) {
  const { words = "", fraction = null, eta_s: eta = null } = facts.shown ?? {};
  text(root.querySelector("[data-words]"), words);
  text(root.querySelector("[data-percent]"), fraction == null ? "" : percent(fraction));
  text(root.querySelector("[data-eta]"), left(eta));
  const bar = /** @type {HTMLProgressElement | null} */ (root.querySelector("[data-progress]"));
  if (!bar) return;
  bar.hidden = !isHeld(facts.state) && fraction == null;
  if (fraction != null) bar.value = fraction;
  else if (isHeld(facts.state)) bar.removeAttribute("value");
}

/**
 * A share of 0 to 100 in words; what is not nothing is never shown as nothing.
 * @param {number} value
 */
export function share(value) {
  if (value > 0 && value < 0.05) return "< 0.1 %";
  return value > 0 && value < 9.95 ? `${value.toFixed(1)} %` : `${Math.round(value)} %`;
}

/**
 * Fill `[data-breakdown]` below `root`: where the time of the run goes.
 * @param {ParentNode | null} root
 * @param {Facts} facts
 */
export function fillBreakdown(root, facts) {
  const card = /** @type {HTMLElement | null} */ (root?.querySelector("[data-breakdown]") ?? null);
  const breakdown = facts.shown?.breakdown;
  if (!card || !breakdown) return;
  card.hidden = false;
  for (const part of breakdown.parts) {
    const bar = card.querySelector(`[data-part="${part.name}"]`);
    bar?.setAttribute("x", String(part.start));
    bar?.setAttribute("width", String(part.share));
    const row = /** @type {HTMLElement | null} */ (card.querySelector(`[data-row="${part.name}"]`));
    if (row) row.hidden = !part.seconds;
    const number = row?.querySelector("[data-share]");
    if (number) number.textContent = share(part.share);
  }
  text(card.querySelector("[data-logging]"), breakdown.logging ?? "");
  text(card.querySelector("[data-advice]"), breakdown.advice);
}

/**
 * @param {Element | null} element
 * @param {string} words
 */
function text(element, words) {
  if (!element) return;
  element.textContent = words;
  /** @type {HTMLElement} */ (element).hidden = !words;
}

const FIRST = 5; // are compared when none is chosen

/**
 * What the bar below the table says.
 * @param {boolean} all that match are meant
 * @param {number} chosen
 * @param {number} every how many match
 * @param {number} away how many of the chosen ones the page does not show
 */
export function chosenWords(all, chosen, every, away) {
  const total = String(every).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  if (all) return `All ${total} chosen`;
  if (!chosen) return "Tick runs, or:";
  const most = chosen >= MOST ? "; no more fit" : "";
  return away ? `${chosen} chosen, ${away} not on this page${most}` : `${chosen} of ${total} chosen${most}`;
}

/**
 * What the button that compares says.
 * @param {boolean} all that match are meant
 * @param {number} chosen
 * @param {number} every how many match
 */
export function compareWords(all, chosen, every) {
  if (all) return "Compare";
  if (chosen) return `Compare ${chosen}`;
  return every > FIRST ? `Compare the first ${FIRST}` : every > 1 ? `Compare all ${every}` : "Compare";
}
