// @ts-check
// Runs that differ only by their seed as one line: mean ± standard deviation of what they have at common places.
import { push } from "./points.js";

/** @typedef {import("./points.js").Line} Line */
/** @typedef {import("./traces.js").Source} Source */
/** @typedef {Line & {n: number[]}} Mean `y` is the mean, `min` and `max` one standard deviation off it; `n` lines have a finite value there */

/**
 * Mean and standard deviation (of a sample, ÷ n − 1) at each place of the line with the most points. A line counts from
 * its first to its last point, between two points by what lies between them; where it is not finite, or has ended, it
 * does not count. No deviation is given where only one line has a value.
 * @param {Line[]} lines
 * @returns {Mean}
 */
export function meanOf(lines) {
  const longest = lines.reduce((/** @type {number[]} */ xs, line) => (line.x.length > xs.length ? line.x : xs), []);
  const last = Math.max(...lines.map((line) => line.x[line.x.length - 1] ?? -Infinity));
  const rest = lines.find((line) => line.x[line.x.length - 1] === last)?.x.filter((x) => x > (longest[longest.length - 1] ?? Infinity)) ?? [];
  /** @type {Mean} */
  const mean = { name: lines[0]?.name ?? "", x: [], y: [], min: [], max: [], odd: [], n: [] };
  const readers = lines.map(reader);
  for (const x of [...longest, ...rest]) {
    const values = readers.map((valueAt) => valueAt(x)).filter((value) => value !== null);
    const n = values.length;
    const middle = values.reduce((sum, value) => sum + value / n, 0);
    const off = n > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (n - 1)) : 0;
    mean.min?.push(n ? middle - off : null);
    mean.max?.push(n ? middle + off : null);
    mean.n.push(n);
    push(mean, x, n ? middle : NaN);
  }
  mean.odd = lines.flatMap((line) => line.odd).sort((a, b) => a.x - b.x);
  return mean;
}

/**
 * The value of a line at places that are asked for in ascending order; null where it has none.
 * @param {Line} line
 * @returns {(x: number) => number | null}
 */
function reader({ x: xs, y }) {
  let i = 0;
  return (x) => {
    while (i + 1 < xs.length && xs[i + 1] <= x) i++;
    if (!xs.length || x < xs[0]) return null;
    const [from, to] = [y[i], y[i + 1]];
    if (xs[i] === x || from === null || to == null) return from === null || xs[i] === x ? from : null;
    return from + ((to - from) * (x - xs[i])) / (xs[i + 1] - xs[i]);
  };
}

/**
 * The sources with those of each group as one, in the place of its first run that is shown; runs that are in none stay.
 * @param {Source[]} sources
 * @param {number[][]} groups ids of runs
 * @param {string[]} names of the metrics that are wanted
 * @returns {Source[]}
 */
export function byGroup(sources, groups, names) {
  const of = new Map(groups.flatMap((group) => (group.length > 1 ? group.map((id) => /** @type {[number, number[]]} */ ([id, group])) : [])));
  const done = new Set();
  return sources.flatMap((source) => {
    const group = of.get(source.id);
    if (!group) return [source];
    if (source.hidden || done.has(group)) return [];
    done.add(group);
    return [asOne(sources.filter((one) => group.includes(one.id) && !one.hidden), names)];
  });
}

/** @param {Source[]} sources @param {string[]} names @returns {Source} */
function asOne(sources, names) {
  if (sources.length === 1) return sources[0];
  /** @type {Map<string, Line>} */
  const lines = new Map();
  for (const name of names) {
    const have = sources.flatMap((source) => source.lines.get(name) ?? []).filter((line) => line.x.length);
    if (have.length) lines.set(name, meanOf(have));
  }
  return { id: sources[0].id, name: `${sources[0].name}, mean ± std, n = ${sources.length}`, lines, of: sources.length };
}
