// @ts-check
// When charts are drawn: all that asked, in one round, one after another; then a rest half as long as the round took, so
// that a page with many charts on a slow machine has time for its user, and one that draws fast waits for nothing.

const MOST_REST_MS = 1000;

export class Painter {
  /**
   * @param {(act: () => void) => void} frame calls back before the next picture of the screen
   * @param {(act: () => void, ms: number) => void} later
   * @param {() => number} now milliseconds
   * @param {() => Promise<void>} breathe between two charts: lets the browser show the first and hear its user
   */
  constructor(frame, later, now, breathe = () => Promise.resolve()) {
    this.frame = frame;
    this.later = later;
    this.now = now;
    this.breathe = breathe;
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
    for (const [i, paint] of paints.entries()) {
      if (i) await this.breathe();
      await paint().catch((error) => console.error(error));
    }
    this.later(() => this.rested(), Math.min((this.now() - began) / 2, MOST_REST_MS));
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
  () => new Promise((resolve) => setTimeout(resolve)),
);
