// @ts-check
// Which of a page's own offers fit some words, the best first; pure, so that it can be tested.

/**
 * Items whose title or note has every word; those whose title begins with the words come first.
 * @template {{title: string, note?: string}} T
 * @param {T[]} items
 * @param {string} text
 * @returns {T[]}
 */
export function rank(items, text) {
  const whole = text.trim().toLowerCase();
  const words = whole.split(/\s+/).filter(Boolean);
  const fitting = items.filter((item) => {
    const all = `${item.title} ${item.note ?? ""}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const place = (/** @type {T} */ item) => (item.title.toLowerCase().startsWith(whole) ? 0 : item.title.toLowerCase().includes(whole) ? 1 : 2);
  return fitting.map((item, i) => ({ item, i })).sort((a, b) => place(a.item) - place(b.item) || a.i - b.i).map(({ item }) => item);
}
