// @ts-check
// Which fields of a form differ from the run that it was made from; pure.

/** @typedef {{label: string, was: string, now: string}} Change */

/**
 * Whether two inputs mean the same value: `3e-4` is `0.0003`, and spaces around do not count.
 * @param {string} one
 * @param {string} other
 */
export function same(one, other) {
  const [a, b] = [one.trim(), other.trim()];
  if (a === b) return true;
  return a !== "" && b !== "" && Number.isFinite(Number(a)) && Number(a) === Number(b);
}

/**
 * `2 changes against #12: Learning rate 0.001 → 3e-4, Batch size 64 → 128`.
 * @param {Change[]} changes
 * @param {string} parent
 */
export function inWords(changes, parent) {
  if (!changes.length) return `The same values as run ${parent}.`;
  const shown = changes.slice(0, 6).map((c) => `${c.label} ${c.was || "default"} → ${c.now || "default"}`);
  const more = changes.length > 6 ? `, and ${changes.length - 6} more` : "";
  return `${changes.length} change${changes.length === 1 ? "" : "s"} against ${parent}: ${shown.join(", ")}${more}`;
}

/**
 * Whether a text has every word that is looked for, in any order; `max epochs` finds `max_epochs`.
 * @param {string} words
 * @param {string} text
 */
export function matches(words, text) {
  const plain = text.toLowerCase().replaceAll("_", " ");
  return words.toLowerCase().replaceAll("_", " ").split(/\s+/).every((word) => plain.includes(word));
}
