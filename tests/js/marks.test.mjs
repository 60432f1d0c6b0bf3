// Moments that charts point out stand where the points of the same moment are drawn, along every axis.
import assert from "node:assert/strict";
import test from "node:test";

const path = "../../static/js/tracking";
const { served } = await import(`${path}/axes.js`);
const { marksOf } = await import(`${path}/marks.js`);
const { literal, shapeOf } = await import(`${path}/plotly.js`);
const { lineOf } = await import(`${path}/points.js`);
const { traces } = await import(`${path}/traces.js`);

const AXES = ["step", "epoch", "samples", "relative", "time"];
const KINDS = ["resumed", "best", "checkpoint"];
const look = { colour: "#000000", dash: "solid" };

/** Numbers from 0 to 1, the same ones for a seed. @param {number} seed */
function dice(seed) {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

/** A run as the server tells it along an axis: its points, and the rate that they have. */
function run(seed) {
  const draw = dice(seed + 1);
  const count = 2 + Math.floor(draw() * 30);
  const perEpoch = 1 + Math.floor(draw() * 50);
  const start = 1.7e9 + Math.floor(draw() * 1e8);
  let [step, after, rate] = [0, 0, 0.1];
  const points = Array.from({ length: count }, () => {
    step += 1 + Math.floor(draw() * 20);
    after += 0.25 + draw() * 100;
    if (draw() < 0.2) rate /= 10;
    return { step, epoch: step / perEpoch, relative: after, time: start + after, rate };
  });
  return { points, samples: 1 + Math.floor(draw() * 512), draw };
}

const cases = AXES.flatMap((axis) => Array.from({ length: 60 }, (_, seed) => ({ axis, seed, ...run(seed) })));

/** What is drawn of these moments: places of the shapes, and of the points of the line. */
function pictureOf({ axis, points, samples }, moments) {
  const { x, scale } = served(axis, samples);
  const line = lineOf({ name: "lr", x: points.map((p) => p[x]), last: points.map((p) => p.rate) }, scale);
  const marks = marksOf(moments(x), scale, line, String);
  const [trace] = traces([{ label: "lr", line, look }], { smoothing: 0, x: axis });
  return { marks, shapes: marks.map((mark) => shapeOf(mark, axis, "#000000")), xs: trace.x };
}

test("a moment of a point is drawn at that point along every axis, with its words", () => {
  for (const one of cases) {
    const picked = one.points.map((_, i) => i).filter(() => one.draw() < 0.3);
    const kinds = picked.map((i) => KINDS[i % 3]);
    const { marks, shapes, xs } = pictureOf(one, (x) => picked.map((i, k) => ({ step: one.points[i].step, x: one.points[i][x], kind: kinds[k], text: `m${i}` })));
    picked.forEach((i, k) => {
      assert.equal(shapes[k].x0, xs[i], `${one.axis}, seed ${one.seed}`);
      assert.equal(shapes[k].x1, xs[i]);
      assert.deepEqual([marks[k].kind, marks[k].text], [kinds[k], `m${i}`]);
      assert.equal(shapes[k].label?.text, kinds[k] === "checkpoint" ? undefined : `m${i}`);
    });
  }
});

test("moments between two points are drawn between them and keep their order along every axis", () => {
  for (const one of cases) {
    const between = one.points.slice(1).map((_, i) => ({ i, share: one.draw() }));
    const place = (i, share, x) => one.points[i][x] + share * (one.points[i + 1][x] - one.points[i][x]);
    const { shapes, xs } = pictureOf(one, (x) => between.map(({ i, share }) => ({ x: place(i, share, x), kind: "checkpoint", text: "checkpoint" })));
    between.forEach(({ i }, k) => {
      assert.ok(shapes[k].x0 >= xs[i] && shapes[k].x0 <= xs[i + 1], `${one.axis}, seed ${one.seed}: ${shapes[k].x0} within ${xs[i]} … ${xs[i + 1]}`);
      if (k) assert.ok(shapes[k].x0 >= shapes[k - 1].x0);
    });
  }
});

test("the jumps of a learning rate are the same ones along every axis, each at its point", () => {
  for (let seed = 0; seed < 60; seed++) {
    const found = AXES.map((axis) => {
      const one = { axis, ...run(seed) };
      const { marks, shapes, xs } = pictureOf(one, () => []);
      return marks.map((mark, k) => [xs.indexOf(shapes[k].x0), mark.text]);
    });
    for (const other of found) assert.deepEqual(other, found[0]);
    const { points } = run(seed);
    const jumps = points.flatMap((p, i) => (i && p.rate !== points[i - 1].rate ? [i] : []));
    assert.deepEqual(found[0].map(([i]) => i), jumps.length > 20 ? [] : jumps);
  }
});

test("what somebody wrote is shown letter by letter, not as the markup that charts know", () => {
  assert.equal(literal('<a href="javascript:alert(1)">R&D</a>'), '&lt;a href="javascript:alert(1)"&gt;R&amp;D&lt;/a&gt;');
});
