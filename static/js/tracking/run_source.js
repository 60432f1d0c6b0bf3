// @ts-check
// The lines of one run: asked for when a chart needs them, and from then on extended by live frames, each point once.
import { Feed } from "./feed.js";
import { extend, lineOf } from "./points.js";

/** @typedef {import("./points.js").Line} Line */
/** @typedef {import("./feed.js").Frame} Frame */
/** @typedef {{names: Set<string> | null, held: Frame[]}} Request `names` null: all that the run has */

export class RunSource {
  /** @param {number} id @param {string} name @param {number} samples that a step takes */
  constructor(id, name, samples) {
    this.id = id;
    this.name = name;
    this.samples = samples;
    /** @type {Map<string, Line>} */
    this.lines = new Map();
    /** @type {Set<string>} names of all its metrics */
    this.known = new Set();
    /** @type {Map<string, number>} the newest frame in each line that is as it was asked for last */
    this.cursors = new Map();
    /** @type {Set<Request>} on their way */
    this.requests = new Set();
    /** @type {number | null} seconds of the first point */
    this.start = null;
    this.hidden = false;
    this.feed = new Feed();
  }

  /** Lines are wanted otherwise than they are: they stay until others come. */
  stale() {
    this.cursors.clear();
    this.requests.clear();
  }

  /** @param {string[] | null} names @returns {Request} */
  request(names) {
    const made = { names: names && new Set(names), held: [] };
    this.requests.add(made);
    return made;
  }

  /** Of these names, those that are neither here nor on their way. @param {string[]} names */
  missing(names) {
    return names.filter((name) => this.known.has(name) && !this.cursors.has(name) && ![...this.requests].some((r) => !r.names || r.names.has(name)));
  }

  /**
   * What was asked for is here; frames that came meanwhile and that it does not have follow it.
   * @param {Request} request
   * @param {any} found
   * @param {import("./axes.js").Axis} axis
   * @param {number} scale
   */
  arrived(request, found, axis, scale) {
    this.requests.delete(request);
    this.start = found.start ?? this.start;
    for (const name of found.names ?? []) this.known.add(name);
    const had = new Set(request.names ?? this.known);
    for (const series of found.series) {
      this.known.add(series.name);
      this.lines.set(series.name, lineOf(series, scale));
      had.delete(series.name);
      this.cursors.set(series.name, found.cursor);
    }
    if (request.names || found.few) {
      for (const name of had) {
        this.lines.set(name, lineOf({ name, x: [], last: [] }));
        this.cursors.set(name, found.cursor);
      }
    }
    for (const tail of found.abandoned ?? []) {
      const line = this.lines.get(tail.name) ?? lineOf({ name: tail.name, x: [], last: [] });
      (line.tails ??= []).push({ fence: tail.fence, ...lineOf(tail, scale) });
      this.lines.set(tail.name, line);
    }
    for (const frame of request.held) this.extend(frame, axis);
  }

  /** Frames that come while a request is on its way may or may not be in its answer. @param {Frame[]} frames */
  hold(frames) {
    for (const request of this.requests) request.held.push(...frames);
  }

  /**
   * Lines that are here grow by a frame, unless they have it; returns their names.
   * @param {Frame} frame
   * @param {import("./axes.js").Axis} axis
   */
  extend(frame, axis) {
    this.start ??= frame.times[0];
    const wanted = frame.names.map((name) => (this.cursors.get(name) ?? Infinity) < frame.c);
    const growing = new Map(frame.names.flatMap((name, k) => (wanted[k] && this.lines.has(name) ? [[name, /** @type {Line} */ (this.lines.get(name))]] : [])));
    const grown = extend(growing, frame, axis, this.start, this.samples);
    for (const name of grown) this.cursors.set(name, frame.c);
    return grown;
  }

  /** Metrics that were not there before begin with this frame; their names. @param {Frame} frame */
  discover(frame) {
    const fresh = frame.names.filter((name) => !this.known.has(name));
    for (const name of fresh) this.known.add(name);
    return fresh;
  }

  /** A metric whose first frame this is has no earlier points: nothing needs to be asked for. @param {string} name @param {number} before */
  begin(name, before) {
    this.lines.set(name, lineOf({ name, x: [], last: [] }));
    this.cursors.set(name, before);
  }
}
