// @ts-check
// When charts are drawn: all that asked, in one round, one after another; then those of the round rest half as long as it
// took, so that a page with many live charts on a slow machine has time for its user. One that was not drawn in the round
// waits for nothing: it joins the round, or begins the next one at once.

const MOST_REST_MS = 1000;

/** @typedef {() => Promise<void>} Paint */

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
    /** @type {Set<Paint>} */
    this.asked = new Set();
    /** @type {Set<Paint>} drawn in this round, or in the last one while it rests */
    this.drawn = new Set();
    this.busy = false; // a round is going on, or comes with the next picture
    this.rests = 0;
  }

  /** Draw soon. Asking again before it is drawn changes nothing. @param {Paint} paint */
  ask(paint) {
    this.asked.add(paint);
    if (!this.busy && !this.drawn.has(paint)) this.begin();
  }

  begin() {
    this.busy = true;
    this.frame(() => void this.round());
  }

  async round() {
    const began = this.now();
    const rest = ++this.rests;
    const tired = this.drawn;
    this.drawn = new Set();
    for (let paint = this.next(tired); paint; paint = this.next(tired)) {
      if (this.drawn.size) await this.breathe();
      this.drawn.add(paint);
      this.asked.delete(paint);
      await paint().catch((error) => console.error(error));
    }
    for (const paint of tired) this.drawn.add(paint);
    this.busy = false;
    this.later(() => this.rested(rest), Math.min((this.now() - began) / 2, MOST_REST_MS));
  }

  /** One that asked and does not rest. @param {Set<Paint>} tired */
  next(tired) {
    for (const paint of this.asked) if (!this.drawn.has(paint) && !tired.has(paint)) return paint;
    return undefined;
  }

  /** @param {number} rest a later one ends later */
  rested(rest) {
    if (rest !== this.rests || this.busy) return;
    this.drawn.clear();
    if (this.asked.size) this.begin();
  }
}

/** The next turn of the browser; a timer would make it wait for some milliseconds. */
function turn() {
  const { port1, port2 } = new MessageChannel();
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  }));
}

export const painter = new Painter(
  (act) => requestAnimationFrame(act),
  (act, ms) => setTimeout(act, ms),
  () => performance.now(),
  turn,
);
