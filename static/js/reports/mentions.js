// @ts-check
// Which name somebody is writing after an @, and the text with a whole name in its place; pure.

/** @typedef {{start: number, text: string}} Begun `start` is the place of the @ */

/**
 * The name that the letters before the cursor begin; null where they are none, as in an e-mail address.
 * @param {string} text
 * @param {number} at
 * @returns {Begun | null}
 */
export function begunAt(text, at) {
  const found = /(?:^|[^\w@./+-])@([\w.+-]*)$/.exec(text.slice(0, at));
  return found ? { start: at - found[1].length - 1, text: found[1] } : null;
}

/**
 * People whose names go on so, those that begin so first.
 * @param {string[]} people
 * @param {string} begun
 * @param {number} most
 */
export function fitting(people, begun, most = 8) {
  const wanted = begun.toLowerCase();
  const has = people.filter((name) => name.toLowerCase().includes(wanted));
  return has.sort((a, b) => Number(!a.toLowerCase().startsWith(wanted)) - Number(!b.toLowerCase().startsWith(wanted)) || a.localeCompare(b)).slice(0, most);
}

/**
 * The text with `name` in place of what was begun, and where the cursor goes.
 * @param {string} text
 * @param {Begun} begun
 * @param {string} name
 */
export function named(text, begun, name) {
  const before = `${text.slice(0, begun.start)}@${name} `;
  return { text: before + text.slice(begun.start + 1 + begun.text.length).replace(/^ /, ""), at: before.length };
}
