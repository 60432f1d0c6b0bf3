// @ts-check
// The frames of a run for its charts: each one once, none lost while the series loads, none of an abandoned attempt.

/** @typedef {{c: number, fence: number, names: string[], steps: number[], epochs: number[], times: number[], values: any[][]}} Frame */

export class Feed {
  /** The newest frame that the charts have. */
  cursor = 0;
  /** The attempt that wrote it; 0 before the first one. */
  fence = 0;
  loading = false;
  /** @type {Frame[]} */
  held = [];

  /** The series is being loaded: frames that come meanwhile wait, since it may or may not have them. */
  begin() {
    this.loading = true;
  }

  /**
   * The series is here; returns the frames that follow it.
   * @param {number} cursor
   * @param {number} fence
   */
  loaded(cursor, fence) {
    const held = this.held;
    this.cursor = cursor;
    this.fence = fence;
    this.loading = false;
    this.held = [];
    return this.take(held);
  }

  /**
   * Returns the frames to draw now, or null when the series must be loaded again: a later attempt goes on from a
   * checkpoint, and the points after it that are drawn already are not part of the run any more.
   * @param {Frame[]} frames
   * @returns {Frame[] | null}
   */
  take(frames) {
    const fresh = frames.filter((frame) => frame.c > this.cursor);
    if (!fresh.length) return [];
    if (this.loading || (this.fence && fresh.some((frame) => frame.fence > this.fence))) {
      this.held.push(...fresh);
      return this.loading ? [] : null;
    }
    this.cursor = Math.max(...fresh.map((frame) => frame.c));
    this.fence = Math.max(...fresh.map((frame) => frame.fence));
    return fresh;
  }
}
