// @ts-check
// What a drop means: the dragged row takes the place of the one that it was dropped on.

/**
 * @param {string[]} keys of the rows that may change places, in order
 * @param {string} dragged
 * @param {string} target the row that it was dropped on
 * @returns {{before: string} | {where: "last"} | null} the order to the server; null for nothing to do
 */
export function placeBefore(keys, dragged, target) {
  const from = keys.indexOf(dragged);
  const to = keys.indexOf(target);
  if (from < 0 || to < 0 || from === to) return null;
  if (to < from) return { before: target };
  const after = keys[to + 1];
  return after === undefined ? { where: "last" } : { before: after };
}
