// @ts-check
// When charts are drawn: all that asked, in one round; then a rest as long as the round took, so that a page with many
// charts on a slow machine spends half of its time on them at most, and one that draws fast waits for nothing.

const MOST_REST_MS = 1000;

export class Painter {
  /**
   * @param {(act: () => void) => void} frame calls back before the next picture of the screen
   * @param {(act: () => void, ms: number) => void} later
   * @param {() => number} now milliseconds
   */
  constructor(frame, later, now) {
    this.frame = frame;
    this.later = later;
    this.now = now;
    /** @type {Set<() => Promise<void>>} */
    this.asked = new Set();
    this.busy = false;
  }

  /** Draw soon. Asking again before it is drawn changes nothing. @param {() => Promise<void>} paint */
  ask(paint) {
    this.asked.add(paint);
    if (this.busy) return;
    this.busy = true;
    this.frame(() => void this.round());
  }

  async round() {
    const began = this.now();
    const paints = [...this.asked];
    this.asked.clear();
    await Promise.all(paints.map((paint) => paint().catch((error) => console.error(error))));
    this.later(() => this.rested(), Math.min(this.now() - began, MOST_REST_MS));
  }

  rested() {
    if (this.asked.size) this.frame(() => void this.round());
    else this.busy = false;
  }
}

export const painter = new Painter(
  (act) => requestAnimationFrame(act),
  (act, ms) => setTimeout(act, ms),
  () => performance.now(),
);
