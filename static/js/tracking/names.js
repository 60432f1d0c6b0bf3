// @ts-check
// What the names of metrics say: which share a chart, which charts open first, which sections there are, what a search finds.

/** @typedef {{title: string, section: string, names: string[]}} Group a chart: its metrics, and the section it stands in */

const STAGE = /^(train|val|valid|validation|test)[_/]/;
const RATE = /^(lr|learning_rate)([-_/].*)?$/i;
const STEP_TIME = /(^|[/_])((step|iter|iteration|batch)_?time|time_per_(step|iter|batch)|(steps|iters|batches|samples)_per_s(ec(ond)?)?)(_ms|_s)?$/i;

/**
 * Charts of a run: training and validation of the same thing share one.
 * @param {Iterable<string>} names
 * @returns {Group[]}
 */
export function grouped(names) {
  /** @type {Map<string, string[]>} */
  const charts = new Map();
  for (const name of names) {
    const short = name.replace(STAGE, "").replace(/_(step|epoch)$/, "");
    const key = name.includes("/") && !STAGE.test(name) ? name : short;
    const members = charts.get(key);
    if (members) members.push(name);
    else charts.set(key, [name]);
  }
  const rank = (/** @type {string} */ t) => (t === "loss" ? 0 : /(^|[^a-z])(acc|r2|f1|auc|iou|bleu)/i.test(t) ? 1 : /(^|[^a-z])(mae|r?mse)/i.test(t) ? 2 : 3);
  return [...charts]
    .map(([title, members]) => ({ rank: rank(title), group: { title, section: title.includes("/") ? title.split("/")[0] : "", names: members.sort() } }))
    .sort((a, b) => a.rank - b.rank || (a.group.title < b.group.title ? -1 : 1))
    .map(({ group }) => group);
}

/** @param {string} name whether it is a learning rate */
export function isRate(name) {
  return RATE.test(name);
}

/**
 * The charts that a page begins with: the objective beside its twin of training, a learning rate, the time of a step.
 * A run with few charts has nothing to fold away: all of them.
 * @param {Group[]} charts
 * @param {string} objective the metric that decides which checkpoint is best, "" when none does
 * @param {number} [few]
 * @returns {string[]} titles, in this order
 */
export function opening(charts, objective, few = 8) {
  const named = (/** @type {(name: string) => boolean} */ test) => charts.find((chart) => chart.names.some(test))?.title;
  const first = named((name) => name === objective) ?? named((name) => /(^|[_/])loss$/.test(name)) ?? charts[0]?.title;
  const found = [first, named(isRate), named((name) => STEP_TIME.test(name))].filter((title) => title !== undefined);
  const rest = charts.length <= few ? charts.map((chart) => chart.title) : [];
  return [...new Set([...found, ...rest])];
}

/**
 * Charts by section, those without a prefix first.
 * @param {Group[]} charts
 * @returns {Map<string, Group[]>}
 */
export function sections(charts) {
  /** @type {Map<string, Group[]>} */
  const found = new Map();
  for (const chart of charts) {
    const members = found.get(chart.section);
    if (members) members.push(chart);
    else found.set(chart.section, [chart]);
  }
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/**
 * Charts with a metric that has all words of the search in its name.
 * @param {Group[]} charts
 * @param {string} text
 */
export function matching(charts, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return charts.filter((chart) => chart.names.some((name) => words.every((word) => name.toLowerCase().includes(word))));
}

/**
 * Names in portions whose query strings stay short enough for a server, each of at most `most` names.
 * @param {string[]} names
 * @param {number} most
 * @param {number} [chars]
 */
export function portions(names, most, chars = 6000) {
  /** @type {string[][]} */
  const found = [];
  let room = 0;
  for (const name of names) {
    const size = encodeURIComponent(name).length + 9;
    const last = found[found.length - 1];
    if (last && last.length < most && size <= room) last.push(name);
    else {
      found.push([name]);
      room = chars;
    }
    room -= size;
  }
  return found;
}
