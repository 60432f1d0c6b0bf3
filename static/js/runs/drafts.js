// @ts-check
// What was typed into a form and not sent yet, kept in this browser; pure but for the storage that it is given.

/** @typedef {{at: number, sent: boolean, choice: string, values: Record<string, string>}} Draft */

const KEEP_MS = 7 * 24 * 3600 * 1000;

/**
 * The draft under a key, when there is one that was not sent and is not old.
 * @param {Pick<Storage, "getItem">} storage
 * @param {string} key
 * @param {number} now ms
 * @returns {Draft | null}
 */
export function read(storage, key, now) {
  try {
    const found = JSON.parse(storage.getItem(key) ?? "null");
    return found && !found.sent && now - found.at < KEEP_MS && typeof found.values === "object" ? found : null;
  } catch {
    return null; // storage that is switched off, or something else's text
  }
}

/**
 * @param {Pick<Storage, "setItem">} storage
 * @param {string} key
 * @param {Draft} draft
 */
export function write(storage, key, draft) {
  try {
    storage.setItem(key, JSON.stringify(draft));
  } catch {
    // full, or switched off: the form works all the same
  }
}

/**
 * Values of the draft that differ from what the page shows.
 * @param {Record<string, string>} shown
 * @param {Record<string, string>} values
 */
export function differences(shown, values) {
  return Object.fromEntries(Object.entries(values).filter(([name, value]) => name in shown && shown[name] !== value));
}

/**
 * `just now`, `5 min ago`, `3 h ago`, `2 d ago`.
 * @param {number} ms
 */
export function age(ms) {
  const minutes = Math.floor(ms / 60000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 48 * 60 ? `${Math.floor(minutes / 60)} h ago` : `${Math.floor(minutes / 1440)} d ago`;
}
