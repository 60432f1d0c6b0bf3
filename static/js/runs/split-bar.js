// @ts-check
// <split-bar>: the divider between the table of runs and the curves beside it, moved by dragging, by touch or by arrow
// keys; a double click or Enter puts it back. The browser remembers it as the share of the width that the curves take.

const KEY = "runs-charts-share";
const LEAST = 15;
const MOST = 75;
const STEP = 2;
const BIG_STEP = 10;

/** A share in percent that both sides can live with; null for what is no number. @param {unknown} value */
export function shareOf(value) {
  const share = value === null || value === "" ? NaN : Number(value);
  return Number.isFinite(share) ? Math.round(Math.min(Math.max(share, LEAST), MOST) * 10) / 10 : null;
}

/**
 * Where a key moves the divider; undefined for keys that mean nothing here, null for back to what it was at first.
 * @param {string} key
 * @param {number} share
 * @param {boolean} isBig
 */
export function moved(key, share, isBig) {
  const step = isBig ? BIG_STEP : STEP;
  const to = { ArrowLeft: share + step, ArrowRight: share - step, Home: MOST, End: LEAST }[key];
  return key === "Enter" ? null : to === undefined ? undefined : shareOf(to);
}

class SplitBar extends HTMLElement {
  connectedCallback() {
    this.show(shareOf(remembered()));
    this.addEventListener("pointerdown", (event) => this.grab(event));
    this.addEventListener("pointermove", (event) => this.drag(event));
    this.addEventListener("pointerup", () => this.drop());
    this.addEventListener("pointercancel", () => this.drop());
    this.addEventListener("dblclick", () => this.put(null));
    this.addEventListener("keydown", (event) => this.key(event));
    this.sizes = new ResizeObserver(() => this.say());
    this.sizes.observe(/** @type {Element} */ (this.parentElement));
  }

  disconnectedCallback() {
    this.sizes?.disconnect();
  }

  /** What the curves take now, in percent of the width. */
  get share() {
    const all = this.parentElement?.getBoundingClientRect().width ?? 0;
    const side = this.nextElementSibling?.getBoundingClientRect().width ?? 0;
    return all ? (100 * side) / all : LEAST;
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button) return;
    this.setPointerCapture(event.pointerId);
    this.grip = event.clientX - this.getBoundingClientRect().right;
  }

  /** @param {PointerEvent} event */
  drag(event) {
    const box = this.parentElement?.getBoundingClientRect();
    if (this.grip === undefined || !box?.width) return;
    const share = shareOf((100 * (box.right - (event.clientX - this.grip))) / box.width);
    if (share !== null && Math.abs(share - this.share) > 0.05) this.put(share);
  }

  drop() {
    this.grip = undefined;
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const to = moved(event.key, this.share, event.shiftKey);
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // Enter opens a run elsewhere on the page
    this.put(to);
  }

  /** @param {number | null} share */
  put(share) {
    this.show(share);
    remember(share);
  }

  /** @param {number | null} share */
  show(share) {
    const split = this.parentElement;
    if (share === null) split?.style.removeProperty("--charts-share");
    else split?.style.setProperty("--charts-share", `${share}%`);
    this.say();
  }

  say() {
    const share = Math.round(this.share);
    this.setAttribute("aria-valuenow", String(Math.min(Math.max(share, LEAST), MOST)));
    this.setAttribute("aria-valuetext", `The curves take ${share} %`);
  }
}

function remembered() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null; // a browser may keep nothing
  }
}

/** @param {number | null} share */
function remember(share) {
  try {
    if (share === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, String(share));
  } catch {
    // then it is for this page only
  }
}

customElements.define("split-bar", SplitBar);
