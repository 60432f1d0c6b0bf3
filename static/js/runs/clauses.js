// @ts-check
// Where the clause stands that somebody is writing, and what the text is with another in its place; pure.

/** @typedef {{start: number, end: number, text: string}} Part */

/**
 * The part of `text` around the letter `at`: between spaces, or between commas when that separates; quotes keep it whole.
 * @param {string} text
 * @param {number} at
 * @param {string} separator " " or ","
 * @returns {Part}
 */
export function partAt(text, at, separator = " ") {
  let start = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\" && quoted) i++;
    else if (text[i] === '"') quoted = !quoted;
    else if (!quoted && isBetween(text[i], separator)) {
      if (i >= at) return part(text, start, i);
      start = i + 1;
    }
  }
  return part(text, start, text.length);
}

/**
 * The text with `written` in place of a part, and where the cursor goes.
 * @param {string} text
 * @param {Part} old
 * @param {string} written
 * @param {string} separator
 */
export function replaced(text, old, written, separator = " ") {
  const isWhole = !/[:<>=~]$/.test(written) || separator === ",";
  const rest = text.slice(old.end).trimStart();
  const after = isWhole && !rest ? (separator === "," ? ", " : " ") : "";
  const before = text.slice(0, old.start) + written + after;
  return { text: before + (rest && separator === " " ? ` ${rest}` : rest), at: before.length };
}

/**
 * @param {string} letter
 * @param {string} separator
 */
const isBetween = (letter, separator) => (separator === " " ? /\s/.test(letter) : letter === separator);

/**
 * @param {string} text
 * @param {number} start
 * @param {number} end
 */
function part(text, start, end) {
  while (start < end && /\s/.test(text[start])) start++;
  return { start, end, text: text.slice(start, end) };
}
