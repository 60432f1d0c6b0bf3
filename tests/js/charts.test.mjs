// Charts: which there are and in which order, what each draws and says, and how they are arranged.
import assert from "node:assert/strict";
import test from "node:test";

const path = "../../static/js/tracking";
const { shelves, pinnedOf, withHidden, withMove, withPin, withSection, DEFAULTS } = await import(`${path}/arrangement.js`);
const { drawn, read, served, words, written } = await import(`${path}/axes.js`);
const { csvOf, fileName } = await import(`${path}/chart_files.js`);
const { rowsOf } = await import(`${path}/chart_table.js`);
const { clipped, clipWords } = await import(`${path}/clip.js`);
const { Crosshair, nearest, valueAt } = await import(`${path}/crosshair.js`);
const { columns, corners, extent, paintLines, toPixels } = await import(`${path}/crowd.js`);
const { LayoutStore } = await import(`${path}/layout_store.js`);
const { markAt, rateJumps } = await import(`${path}/marks.js`);
const { grouped, matching, opening, portions } = await import(`${path}/names.js`);
const { lineOf } = await import(`${path}/points.js`);
const { RunSource } = await import(`${path}/run_source.js`);
const { byGroup, meanOf } = await import(`${path}/seeds.js`);
const { band, entries, stroke, traces } = await import(`${path}/traces.js`);

const line = (y, x = y.map((_, i) => i + 1)) => lineOf({ name: "a", x, last: y });
const look = { colour: "#000000", dash: "solid" };
const titles = (groups) => groups.map((group) => group.title);

test("training and validation of one thing share a chart, loss first", () => {
  const groups = grouped(["val_accuracy", "train_loss", "val_loss", "system/cpu", "lr"]);
  assert.deepEqual(groups.map((g) => [g.title, g.section, g.names]), [
    ["loss", "", ["train_loss", "val_loss"]],
    ["accuracy", "", ["val_accuracy"]],
    ["lr", "", ["lr"]],
    ["system/cpu", "system", ["system/cpu"]],
  ]);
});

test("a page opens with the objective and its twin, a learning rate and the time of a step", () => {
  const many = Array.from({ length: 20 }, (_, i) => `grad/layer${i}`);
  const charts = grouped([...many, "train_loss", "val_loss", "val_f1", "lr-Adam", "lr-Adam/pg2", "time/step_time", "tokens"]);
  assert.deepEqual(opening(charts, "val_f1"), ["f1", "lr-Adam", "time/step_time"]);
  assert.deepEqual(opening(charts, ""), ["loss", "lr-Adam", "time/step_time"]);
  const speeds = grouped([...many, "batches_per_sec", "val/iou"]);
  assert.deepEqual(opening(speeds, "val_loss"), ["iou", "batches_per_sec"], "without a loss the first chart");
  assert.deepEqual(opening(grouped(["b", "val_loss", "a"]), "val_loss"), ["loss", "a", "b"], "few charts have nothing to fold away");
});

test("sections are folded, pinned and hidden charts stand apart, and a search looks everywhere", () => {
  const charts = grouped(["val_loss", "lr", ...["a", "b"].flatMap((s) => [0, 1, 2, 3].map((k) => `${s}/${k}`))]);
  const page = { objective: "val_loss" };
  const plain = shelves(charts, DEFAULTS, page);
  assert.deepEqual(plain.map((s) => [s.key, s.open, s.charts.length]), [["pinned", true, 2], ["section:a", false, 4], ["section:b", false, 4]]);
  let layout = withSection(DEFAULTS, "section:b", true);
  layout = withPin(layout, pinnedOf(charts, layout, "val_loss"), "b/3");
  layout = withHidden(layout, "lr");
  const mine = shelves(charts, layout, page);
  assert.deepEqual(mine.map((s) => [s.key, s.open, titles(s.charts)]), [
    ["pinned", true, ["loss", "b/3"]],
    ["section:a", false, ["a/0", "a/1", "a/2", "a/3"]],
    ["section:b", true, ["b/0", "b/1", "b/2"]],
    ["hidden", false, ["lr"]],
  ]);
  assert.deepEqual(titles(shelves(charts, layout, { ...page, search: " LR" })[0].charts), ["lr"]);
  assert.equal(shelves(charts, withSection(layout, "pinned", false), page)[0].open, false);
  assert.deepEqual(withPin(layout, ["loss", "lr", "b/3"], "lr").pinned, ["loss", "b/3"]);
  assert.deepEqual(withHidden(layout, "lr").hidden, []);
  assert.deepEqual(DEFAULTS.hidden, [], "no change touches what it came from");
});

test("a chart moves by one place on its shelf, not beyond its ends, and the others keep theirs", () => {
  const charts = grouped(["val_loss", ...Array.from({ length: 12 }, (_, i) => `a/${String(i).padStart(2, "0")}`)]);
  const shelf = (layout) => shelves(charts, layout, { objective: "val_loss" }).find((s) => s.key === "section:a");
  let layout = withMove(DEFAULTS, shelf(DEFAULTS), "a/02", -1);
  layout = withMove(layout, shelf(layout), "a/02", -1);
  assert.deepEqual(titles(shelf(layout).charts).slice(0, 4), ["a/02", "a/00", "a/01", "a/03"]);
  assert.equal(withMove(layout, shelf(layout), "a/02", -1), null);
  assert.equal(withMove(layout, shelf(layout), "a/11", 1), null);
  assert.ok(layout.order.length <= 3, "only what moved is kept");
});

test("ten thousand names are grouped, searched and asked for in portions", () => {
  const names = Array.from({ length: 10000 }, (_, i) => `layer${i % 100}/w${i}`);
  const began = performance.now();
  const groups = grouped(names);
  assert.equal(matching(groups, "LAYER7/ w90").length, 2);
  assert.ok(performance.now() - began < 2000);
  const some = portions(["ü".repeat(1000), ...names.slice(0, 30)], 8);
  assert.deepEqual(some.map((s) => s.length), [1, 8, 8, 8, 6]);
  assert.deepEqual(portions([], 8), []);
  const long = portions(Array.from({ length: 9 }, (_, i) => `${i}`.repeat(900)), 8);
  assert.ok(long.every((s) => s.map(encodeURIComponent).join("&metrics=").length <= 6100));
});

test("places on each axis are written and read back", () => {
  assert.deepEqual(served("samples", 64), { x: "step", scale: 64 });
  assert.deepEqual(served("epoch", 64), { x: "epoch", scale: 1 });
  const at = 1.76e9;
  assert.equal(read(drawn(at, "time"), "time", false), at);
  assert.equal(read(new Date(drawn(at, "time")).toISOString().replace("T", " ").replace("Z", ""), "time", false), at);
  assert.deepEqual(written([1, 100], "step", true), [0, 2]);
  assert.equal(read(2, "step", true), 100);
  assert.equal(words(1500, "step"), "step 1,500");
  assert.equal(words(1.25, "relative"), "1.25 s");
});

test("clipping leaves out what lies beyond the middle share, and says how much", () => {
  const y = [...Array.from({ length: 200 }, (_, i) => i), 1e6];
  const found = clipped([line(y)], "98", false);
  assert.ok(found.range[1] < 300 && found.above >= 1 && found.below >= 1);
  assert.equal(clipWords(found, "98"), `Not shown: ${found.above} above and ${found.below} below (beyond 1–99 %)`);
  assert.equal(clipped([line(y)], "none", false), null);
  assert.equal(clipped([line([1, 2, 900])], "98", false), null, "too few to speak of outliers");
  assert.equal(clipped([line(Array(50).fill(3))], "98", false), null);
  const binned = lineOf({ name: "a", x: y.map((_, i) => i), last: y.map(() => 1), min: y.map(() => 1), max: y.map((_, i) => (i === 7 ? 500 : 1)) });
  assert.equal(clipped([binned], "98", false).above, 1, "a spike within a bin counts");
  const logs = clipped([line(y)], "90", true);
  assert.ok(logs.range[1] < 2.5 && Number.isFinite(logs.range[0]));
});

test("the crosshair finds the nearest point, also beside gaps and ends", () => {
  assert.deepEqual([0, 1.4, 1.6, 3, 99].map((x) => nearest([1, 2, 3], x)), [0, 0, 1, 2, 2]);
  assert.equal(nearest([], 1), -1);
  const odd = line([1, "NaN", 3]);
  assert.deepEqual(valueAt(odd, 2.1), { x: 2, y: null, word: "NaN", min: null, max: null });
  assert.equal(valueAt(odd, 50), null, "a line that ended long before has no value there");
  assert.equal(valueAt(line([]), 1), null);
});

test("a pinned crosshair stays until it is released", () => {
  const shown = [];
  globalThis.requestAnimationFrame = (act) => act();
  const chart = { visible: true, point: (x, pinned) => shown.push([x, pinned]) };
  const hidden = { visible: false, point: () => assert.fail("not seen, not drawn") };
  const crosshair = new Crosshair(() => [chart, hidden], () => {});
  crosshair.move(3);
  crosshair.toggle(4);
  crosshair.move(9);
  crosshair.toggle(4);
  crosshair.move(null);
  assert.deepEqual(shown, [[3, false], [4, true], [4, false], [null, false]]);
  delete globalThis.requestAnimationFrame;
});

test("jumps of a learning rate are pointed out, a smooth change is not", () => {
  assert.deepEqual(rateJumps(line([0.1, 0.1, 0.01, 0.01]), String), [{ x: 3, kind: "rate", text: "lr 0.01" }]);
  assert.deepEqual(rateJumps(line(Array.from({ length: 100 }, (_, i) => 1 + i / 100)), String), []);
  assert.deepEqual(rateJumps(line(Array.from({ length: 100 }, (_, i) => 2 ** i)), String), [], "one that always jumps has no moments");
  assert.deepEqual(rateJumps(undefined, String), []);
  const marks = [{ x: 10, kind: "best", text: "best" }, { x: 12, kind: "rate", text: "lr" }];
  assert.equal(markAt(marks, 11.5, 1).text, "lr");
  assert.equal(markAt(marks, 20, 1), null);
});

test("the band is closed for each stretch between gaps", () => {
  assert.deepEqual(band([1, 2, 3, 4], [0, null, 5, 6], [1, null, 7, 8]), { x: [1, 1, null, 3, 4, 4, 3], y: [1, 0, null, 7, 8, 6, 5] });
  assert.deepEqual(band([1], [null], [null]), { x: [], y: [] });
});

test("of many lines each has one stroke behind it through the least and the greatest value of every bin", () => {
  assert.deepEqual(stroke([1, 2, 3], [0, null, -5], [1, null, 9]), { x: [1, 1, 2, 2, 3, 3], y: [0, 1, null, null, -5, 9] });
  assert.deepEqual(stroke([1, 2], [0, 3], [1, 4]).y, [0, 1, 4, 3]);
  const binned = lineOf({ name: "a", x: [1, 2, 3], last: [1, 1, 1], min: [0, 0, 0], max: [2, 99, 2] });
  const made = (count, smoothing) => traces(Array.from({ length: count }, () => ({ label: "a", line: binned, look })), { smoothing, x: "step" });
  assert.deepEqual(made(3, 0).map((t) => t.fill ?? ""), ["toself", "", "toself", "", "toself", ""]);
  const many = made(4, 0.5);
  assert.deepEqual(many.map((t) => t.opacity ?? 1), [0.4, 1, 0.4, 1, 0.4, 1, 0.4, 1]);
  assert.ok(many.filter((t) => t.opacity).every((t) => Math.max(...t.y) === 99));
});

test("the axes of a crowded chart reach from the least to the greatest value of all bins and to what is not finite", () => {
  const binned = lineOf({ name: "a", x: [1, 2, 3], last: [1, "NaN", 1], min: [0, null, -7], max: [2, null, 99] });
  const other = lineOf({ name: "b", x: [2, 5], last: [1, 1], min: [1, 1], max: [1, 1] });
  const [made] = corners([binned, other].map((one) => ({ label: "", line: one, look })), { smoothing: 0, x: "step" });
  assert.deepEqual([made.x, made.y], [[1, 5], [-7, 99]]);
  assert.deepEqual(extent([[-1, 0, null, 3]], true), [3, 3]);
  assert.deepEqual(extent([[null]], false), [0, 0]);
});

test("values of a crowded chart stand where the axes say, on logarithmic ones too", () => {
  const axis = (range) => ({ _offset: 50, _length: 200, range, r2l: Number });
  assert.deepEqual([0, 5, 10].map(toPixels(axis([0, 10]), false, false)), [0, 100, 200]);
  assert.deepEqual([0, 5, 10].map(toPixels(axis([0, 10]), false, true)), [200, 100, 0]);
  assert.deepEqual([1, 10, 100].map(toPixels(axis([0, 2]), true, false)), [0, 100, 200]);
});

test("a spike, a point between gaps and what is not finite are painted in a crowded chart", () => {
  const drawnTo = [];
  const act = (name) => (x, y, w, h) => (name === "getLineDash" ? [] : ["lineTo", "moveTo", "fillRect"].includes(name) && drawnTo.push([name, Math.round(x), Math.round(y), w, h]));
  const pen = new Proxy({}, { get: (_, name) => act(name), set: () => true });
  const canvas = { width: 0, height: 0, style: {}, getContext: () => pen };
  const axis = (range) => ({ _offset: 8, _length: 100, range, r2l: Number });
  const spiky = lineOf({ name: "a", x: [0, 5, 10], last: [1, "NaN", 1], min: [0, null, 0], max: [1, null, 10], nonfinite: [0, 1, 0] });
  paintLines(canvas, { xaxis: axis([0, 10]), yaxis: axis([0, 10]) }, [{ label: "a", line: spiky, look }], { smoothing: 0, x: "step" });
  assert.deepEqual([canvas.width, canvas.height, canvas.style.left], [100, 100, "8px"]);
  assert.ok(drawnTo.some(([name, x, y, w, h]) => name === "fillRect" && x + w === 100 && y === 0 && h === 100), "the spike");
  assert.ok(drawnTo.some(([name, x, y]) => name === "lineTo" && x === 100 && y === 90), "a point alone");
  assert.equal(drawnTo.filter(([, x]) => Math.abs(x - 50) === 4 || Math.abs(x - 50) === 3).length, 4, "the cross");
});

test("the columns of bins lie side by side and leave out no value, however many bins share a pixel", () => {
  let state = 11;
  const draw = () => (state = (state * 16807) % 2147483647) / 2147483647;
  for (let round = 0; round < 200; round++) {
    const count = 1 + Math.floor(draw() * 300);
    const ratio = [1, 1.5, 2][round % 3];
    let at = draw() * 5;
    const x = Array.from({ length: count }, () => (at += draw() < 0.05 ? 40 : 0.1 + draw() * (round % 4)));
    const min = x.map(() => (draw() < 0.1 ? null : -draw()));
    const max = min.map((v) => (v === null ? null : draw() < 0.02 ? 99 : draw()));
    const found = columns(x, min, max, (v) => -v, ratio);
    found.forEach(([left, , width], i) => {
      assert.ok(width > 0.99 / ratio, "a pixel wide at least");
      if (i) assert.ok(left >= found[i - 1][0] + found[i - 1][2] - 1e-9, `round ${round}: ${left} after ${found[i - 1]}`);
    });
    x.forEach((end, i) => {
      if (min[i] === null) return;
      const near = found.filter(([left, , width]) => left <= end + 1 / ratio && end <= left + width + 1 / ratio);
      assert.ok(near.some(([, y, , height]) => y <= -max[i] && y + height >= -min[i] - 1e-9), `round ${round}, bin ${i}`);
    });
  }
  assert.deepEqual(columns([], [], [], Number, 1), []);
  assert.deepEqual(columns([5, 10], [null, 1], [null, 2], (v) => 10 - v, 1), [[5, 8, 5, 1]]);
  assert.deepEqual(columns([10, 11, 50], [1, 1, 1], [1, 1, 1], (v) => 10 - v, 1).map(([left, , width]) => [left, width]), [[9, 1], [10, 1], [49, 1]], "a gap stays one");
});

test("the mean of runs counts each where it has a finite value, however long it is", () => {
  const at = (x, last) => lineOf({ name: "a", x, last });
  const mean = meanOf([at([1, 2, 3, 4], [1, 2, "NaN", 4]), at([1, 3, 5], [3, 5, 9])]);
  assert.deepEqual(mean.x, [1, 2, 3, 4, 5]);
  assert.deepEqual(mean.y, [2, 3, 5, 5.5, 9]);
  assert.deepEqual(mean.n, [2, 2, 1, 2, 1]);
  assert.deepEqual(mean.odd, [{ x: 3, word: "NaN" }]);
  assert.deepEqual([mean.min[0], mean.max[0]], [2 - Math.SQRT2, 2 + Math.SQRT2]);
  assert.deepEqual([mean.min[2], mean.max[2]], [5, 5], "one line alone deviates from nothing");
  assert.deepEqual(meanOf([at([1, 2], [1, 1]), at([2, 3], [3, 3])]).n, [1, 2, 1], "before it begins it does not count");
  const none = meanOf([at([1, 2], ["NaN", 1]), at([1, 2], ["NaN", 3])]);
  assert.deepEqual([none.y, none.min, none.n], [[null, 2], [null, 2 - Math.SQRT2], [0, 2]]);
});

test("runs of one group are one line with their number, others and hidden ones are not in it", () => {
  const source = (id, value, hidden = false) => ({ id, name: `#${id}`, hidden, lines: new Map([["a", line([value])]]) });
  const found = byGroup([source(1, 1), source(2, 9), source(3, 3), source(4, 50, true), source(5, 7)], [[1, 3, 4], [5]], ["a"]);
  assert.deepEqual(found.map((one) => [one.id, one.name, one.lines.get("a").y]), [[1, "#1, mean ± std, n = 2", [2]], [2, "#2", [9]], [5, "#5", [7]]]);
  const alone = entries(["a"], byGroup([source(1, 1), source(3, 3)], [[1, 3]], ["a"]), "light");
  assert.deepEqual(alone.map((one) => one.label), ["#1, mean ± std, n = 2"]);
  const means = Array.from({ length: 5 }, () => ({ label: "m", line: meanOf([line([1, 2]), line([3, 5])]), look }));
  assert.equal(traces(means, { smoothing: 0, x: "step" }).filter((one) => one.fill === "toself").length, 5, "each with its band");
});

test("several runs differ in colour, their metrics in dash; one that is hidden is not drawn", () => {
  const source = (id, hidden = false) => ({ id, name: `run ${id}`, hidden, lines: new Map([["a", line([1])], ["b", line([2])]]) });
  const found = entries(["a", "b"], [source(1), source(2), source(3, true)], "light");
  assert.deepEqual(found.map((e) => [e.label, e.look.dash]), [["run 1 · a", "solid"], ["run 2 · a", "solid"], ["run 1 · b", "dash"], ["run 2 · b", "dash"]]);
  assert.equal(found[0].look.colour, found[2].look.colour);
  assert.notEqual(found[0].look.colour, found[1].look.colour);
});

test("what is drawn has the raw line behind a smooth one, marks what is not finite, and dims what was abandoned", () => {
  const one = line([1, 2, "NaN", 4]);
  one.tails = [{ fence: 1, ...line([7, 8, 9]) }];
  const made = traces([{ label: "a", line: one, look }], { smoothing: 0.5, x: "step" });
  assert.deepEqual(made.map((t) => [t.name, t.mode, t.opacity ?? 1]), [["a, attempt 1", "lines", 0.4], [undefined, "lines", 0.3], ["a", "lines", 1], ["a not finite", "markers", 1]]);
  assert.deepEqual(made[3].x, [3]);
});

test("points as a table and as CSV have every value, words for odd ones, and bins with their span", () => {
  const binned = lineOf({ name: "b", x: [1, 2], last: [5, 6], min: [4, 6], max: [9, 6] });
  const both = [{ label: "=a,\"x\"", line: line([1, "NaN"]), look }, { label: "b", line: binned, look }];
  assert.deepEqual(rowsOf(both).rows, [[2, ["NaN", "6"]], [1, ["1", "5 (4 … 9)"]]]);
  assert.equal(csvOf(both, "step"), "step,\"'=a,\"\"x\"\"\",b,b (min),b (max)\r\n1,1,5,4,9\r\n2,NaN,6,6,6\r\n");
  assert.deepEqual(["a/b c", "../", "größe"].map((t) => fileName(t, "csv")), ["a-b-c.csv", "chart.csv", "größe.csv"]);
});

const frame = (c, names, fence = 1) => ({ c, fence, names, steps: [c], epochs: [0], times: [100 + c], values: names.map(() => [c]) });

test("lines that were asked for at different moments have each frame once", () => {
  const source = new RunSource(1, "", 1);
  const answer = (cursor, name) => ({ cursor, start: 1, series: [{ name, x: [cursor], last: [cursor] }] });
  source.known = new Set(["a", "b", "c"]);
  assert.deepEqual(source.missing(["a", "b", "x"]), ["a", "b"]);
  const [first, second] = [source.request(["a"]), source.request(["b"])];
  assert.deepEqual(source.missing(["a", "b", "c"]), ["c"], "what is on its way is not asked for again");
  for (const c of [5, 6, 7]) source.hold([frame(c, ["a", "b"])]);
  source.arrived(first, answer(6, "a"), "step", 1);
  for (const c of [5, 6, 7, 8]) source.extend(frame(c, ["a", "b"]), "step");
  source.hold([frame(8, ["a", "b"])]);
  source.arrived(second, answer(5, "b"), "step", 1);
  source.extend(frame(8, ["a", "b"]), "step");
  source.extend(frame(9, ["a", "b"]), "step");
  assert.deepEqual([source.lines.get("a").x, source.lines.get("b").x], [[6, 7, 8, 9], [5, 6, 7, 8, 9]]);
});

test("a metric without a point in the range is empty, one that begins live needs no asking", () => {
  const source = new RunSource(1, "", 10);
  source.arrived(source.request(null), { cursor: 3, start: 1, few: false, names: ["a", "b"], series: [] }, "step", 1);
  assert.equal(source.lines.size, 0);
  source.arrived(source.request(["a"]), { cursor: 3, start: 1, series: [] }, "step", 1);
  assert.deepEqual(source.lines.get("a").x, []);
  assert.deepEqual(source.discover(frame(4, ["a", "new"])), ["new"]);
  source.begin("new", 3);
  assert.deepEqual(source.extend(frame(4, ["a", "b", "new"]), "samples"), ["a", "new"]);
  assert.deepEqual(source.lines.get("new").x, [40]);
  source.stale();
  assert.deepEqual(source.missing(["a", "new"]), ["a", "new"]);
});

test("a layout is there for the page that is loaded next until the server has confirmed or refused it", async () => {
  const kept = new Map();
  const answers = [];
  const before = { fetch: globalThis.fetch, addEventListener: globalThis.addEventListener };
  Object.assign(globalThis, {
    sessionStorage: { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) },
    addEventListener: () => {},
    fetch: () => new Promise((resolve) => answers.push((ok) => resolve({ ok, json: async () => ({}) }))),
  });
  try {
    const [first, second] = [new LayoutStore("/layout/", "", () => {}), new LayoutStore("/layout/", "", () => {})];
    first.keep({ smoothing: 0.5, whose: "own" });
    const flushed = first.flush();
    assert.deepEqual(second.unconfirmed(), { smoothing: 0.5 });
    const again = second.flush();
    answers.forEach((answer) => answer(true));
    await Promise.all([flushed, again]);
    assert.equal(second.unconfirmed(), null);
    first.keep({ smoothing: 7 });
    const refused = first.flush();
    answers[2](false);
    await refused;
    assert.equal(second.unconfirmed(), null);
  } finally {
    Object.assign(globalThis, before);
    delete globalThis.sessionStorage;
  }
});
