// @ts-check
// The crosshair that all charts of a page share: where it is, whether it is pinned, and the values of lines there.

/**
 * The index of the value nearest to x in an ascending list, −1 for an empty one.
 * @param {number[]} xs
 * @param {number} x
 */
export function nearest(xs, x) {
  let low = 0;
  let high = xs.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] < x) low = middle + 1;
    else high = middle;
  }
  return low > 0 && x - xs[low - 1] <= xs[low] - x ? low - 1 : high < 0 ? -1 : low;
}

/**
 * The value of a line at its point nearest to x: the word of what is not finite, null where it has no point near.
 * @param {import("./points.js").Line} line
 * @param {number} x
 * @returns {{x: number, y: number | null, word: string, min: number | null, max: number | null} | null}
 */
export function valueAt(line, x) {
  const i = nearest(line.x, x);
  if (i < 0) return null;
  const step = (line.x[line.x.length - 1] - line.x[0]) / Math.max(line.x.length - 1, 1);
  if (x < line.x[0] - 2 * step || x > line.x[line.x.length - 1] + 2 * step) return null;
  const word = line.y[i] === null ? (line.odd.find((o) => o.x === line.x[i])?.word ?? "") : "";
  return { x: line.x[i], y: line.y[i], word, min: line.min?.[i] ?? null, max: line.max?.[i] ?? null };
}

export class Crosshair {
  /**
   * @param {() => Iterable<{visible: boolean, point: (x: number | null, pinned: boolean) => void}>} charts
   * @param {(pinned: boolean) => void} changed whenever it is pinned or released
   */
  constructor(charts, changed) {
    this.charts = charts;
    this.changed = changed;
    /** @type {number | null} */
    this.x = null;
    this.pinned = false;
    this.asked = false;
  }

  /** Move it, unless it is pinned; null hides it. @param {number | null} x */
  move(x) {
    if (this.pinned) return;
    this.x = x;
    this.show();
  }

  /** Pin it here, or release it where it is pinned. @param {number | null} x */
  toggle(x) {
    this.pinned = !this.pinned && x !== null;
    this.x = x;
    this.changed(this.pinned);
    this.show();
  }

  release() {
    this.pinned = false;
    this.x = null;
    this.changed(false);
    this.show();
  }

  show() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      for (const chart of this.charts()) if (chart.visible) chart.point(this.x, this.pinned);
    });
  }
}

/**
 * Charts inside an element move, pin and release it.
 * @param {HTMLElement} element
 * @param {Crosshair} crosshair
 */
export function hearCrosshair(element, crosshair) {
  element.addEventListener("cross", (event) => crosshair.move(/** @type {CustomEvent} */ (event).detail));
  element.addEventListener("pin", (event) => crosshair.toggle(/** @type {CustomEvent} */ (event).detail));
  element.addEventListener("release", () => crosshair.release());
}
