// @ts-check
// Terminal colours as spans with classes; everything else of a terminal's language is dropped.

/** @typedef {{text: string, classes: string[]}} Piece */

/**
 * @param {string} text
 * @returns {Piece[]}
 */
export function parseAnsi(text) {
  /** @type {Piece[]} */
  const pieces = [];
  /** @type {Set<string>} */
  let classes = new Set();
  let at = 0;
  // Control sequences (colours among them), operating-system commands, and single escapes.
  const escapes = /\u001b\[([0-9;?]*)([A-Za-z])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-Z\\-_]/g;
  const add = (/** @type {string} */ piece) => piece && pieces.push({ text: piece, classes: [...classes] });
  for (const match of text.matchAll(escapes)) {
    add(text.slice(at, match.index));
    at = match.index + match[0].length;
    if (match[2] !== "m") continue;
    for (const code of (match[1] || "0").split(";").map(Number)) {
      if (code === 0) classes = new Set();
      else if (code === 1) classes.add("ansi-bold");
      else if (code === 2) classes.add("ansi-dim");
      else if (code === 39) classes = new Set([...classes].filter((c) => !/ansi-\d/.test(c)));
      else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
        classes = new Set([...classes].filter((c) => !/ansi-\d/.test(c)));
        classes.add(`ansi-${code >= 90 ? code - 60 : code}`);
      }
    }
  }
  add(text.slice(at));
  return pieces;
}

/**
 * Text after carriage returns as a terminal shows it: what follows one overwrites its line.
 * @param {string} text
 */
export function overwrite(text) {
  if (!text.includes("\r")) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => line.slice(line.lastIndexOf("\r") + 1))
    .join("\n");
}
