// @ts-check
// Keeps "3 min ago" fresh.

/**
 * @param {number} seconds
 * @returns {string}
 */
export function ago(seconds) {
  if (seconds < 5) return "just now";
  /** @type {[number, string][]} */
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [size, word] of units) if (seconds >= size) return `${Math.floor(seconds / size)} ${word} ago`;
  return `${Math.floor(seconds)} s ago`;
}

/**
 * @param {number | null | undefined} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (seconds == null || !Number.isFinite(seconds)) return "–";
  const total = Math.round(seconds);
  const hours = Math.floor(total / 3600);
  const minutes = Math.floor((total % 3600) / 60);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours) return `${hours} h ${two(minutes)} min`;
  return minutes ? `${minutes} min ${two(total % 60)} s` : `${total} s`;
}

export function refreshTimes() {
  for (const element of document.querySelectorAll("time[data-ago]")) {
    const at = Date.parse(element.getAttribute("datetime") ?? "");
    if (Number.isFinite(at)) element.textContent = ago((Date.now() - at) / 1000);
  }
}
