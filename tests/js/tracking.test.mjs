// Points of charts: each frame once and in order, whatever the socket and the server do.
import assert from "node:assert/strict";
import test from "node:test";

const { Feed } = await import("../../static/js/tracking/feed.js");
const { Painter } = await import("../../static/js/tracking/painter.js");
const { extend, format, lineOf, push, smooth, toNumber } = await import("../../static/js/tracking/points.js");
const { rgba, rowShares } = await import("../../static/js/tracking/results.js");

const frame = (c, fence = 1) => ({ c, fence, names: ["loss"], steps: [c * 10], epochs: [0], times: [100 + c], values: [[c]] });
const numbers = (frames) => frames.map((f) => f.c);

test("a frame that is sent twice is drawn once", () => {
  const feed = new Feed();
  assert.deepEqual(numbers(feed.take([frame(1), frame(2)])), [1, 2]);
  assert.deepEqual(numbers(feed.take([frame(2), frame(3)])), [3]);
  assert.equal(feed.cursor, 3);
});

test("frames that come while the series loads follow it", () => {
  const feed = new Feed();
  feed.begin();
  assert.deepEqual(feed.take([frame(7), frame(8)]), []);
  assert.deepEqual(feed.take([frame(9)]), []);
  assert.deepEqual(numbers(feed.loaded(7, 1)), [8, 9]);
  assert.deepEqual(feed.take([frame(9)]), []);
});

test("an older series does not take back what came before it", () => {
  const feed = new Feed();
  feed.begin();
  assert.deepEqual(numbers(feed.loaded(5, 1)), []);
  assert.deepEqual(numbers(feed.take([frame(6)])), [6]);
  feed.begin();
  feed.take([frame(7)]);
  assert.deepEqual(numbers(feed.loaded(6, 1)), [7]);
});

test("a later attempt makes the series load again and then goes on", () => {
  const feed = new Feed();
  feed.take([frame(1), frame(2)]);
  assert.equal(feed.take([frame(3, 2)]), null);
  feed.begin();
  feed.take([frame(4, 2)]);
  assert.deepEqual(numbers(feed.loaded(3, 2)), [4]);
  assert.deepEqual(numbers(feed.take([frame(5, 2)])), [5]);
});

test("a series that ends before the later attempt is loaded once more", () => {
  const feed = new Feed();
  feed.take([frame(1)]);
  feed.begin();
  feed.take([frame(2, 2)]);
  assert.equal(feed.loaded(1, 1), null);
});

test("the first attempt needs no second load", () => {
  const feed = new Feed();
  feed.begin();
  assert.deepEqual(feed.loaded(0, 0), []);
  assert.deepEqual(numbers(feed.take([frame(1)])), [1]);
});

test("a line keeps gaps for what is not finite and says what it was", () => {
  const line = lineOf({ name: "loss", x: [1, 2, 3, 4], last: [0.5, "NaN", "Infinity", "-Infinity"] });
  assert.deepEqual(line.y, [0.5, null, null, null]);
  assert.deepEqual(line.odd, [{ x: 2, word: "NaN" }, { x: 3, word: "∞" }, { x: 4, word: "−∞" }]);
  assert.ok(Number.isNaN(toNumber(null)));
});

test("live points extend binned lines with their bands", () => {
  const line = lineOf({ name: "loss", x: [8, 16], last: [1, 2], min: [0, 1], max: [3, 4], nonfinite: [0, 1] });
  push(line, 17, 5);
  assert.deepEqual([line.x, line.y, line.min, line.max], [[8, 16, 17], [1, 2, 5], [0, 1, 5], [3, 4, 5]]);
  assert.deepEqual(line.odd, [{ x: 16, word: "NaN" }]);
});

test("frames extend the lines that are there along any axis", () => {
  const lines = new Map(["a", "b"].map((name) => [name, lineOf({ name, x: [], last: [] })]));
  const two = { names: ["a", "b", "c"], steps: [1, 2], epochs: [0, 0.5], times: [50, 51.5], values: [[1, 2], [3, "NaN"], [9, 9]] };
  assert.deepEqual(extend(lines, two, "step", 50), ["a", "b"]);
  assert.deepEqual(extend(lines, two, "relative", 40), ["a", "b"]);
  assert.deepEqual(lines.get("a"), { name: "a", x: [1, 2, 10, 11.5], y: [1, 2, 1, 2], odd: [] });
  assert.deepEqual(lines.get("b").y, [3, null, 3, null]);
  const along = (axis, samples) => {
    const one = new Map([["a", lineOf({ name: "a", x: [], last: [] })]]);
    extend(one, two, axis, null, samples);
    return one.get("a").x;
  };
  assert.deepEqual([along("epoch"), along("time"), along("samples", 32)], [[0, 0.5], [50, 51.5], [32, 64]]);
});

test("smoothing starts at the first value and steps over gaps", () => {
  const y = [4, null, 4, 4];
  assert.equal(smooth(y, 0), y);
  assert.deepEqual(smooth(y, 0.9).map((v) => v && Math.round(v * 1e9) / 1e9), [4, null, 4, 4]);
  assert.ok(Math.abs(smooth([0, 1], 0.5)[1] - 2 / 3) < 1e-12);
});

test("numbers are short", () => {
  assert.deepEqual([0, -0.5, 1e-5, 123456.7, NaN, null].map(format), ["0", "−0.5", "1.00e−5", "123500", "NaN", "–"]);
});

test("a row of a confusion matrix becomes shares of its class, an empty one stays empty", () => {
  assert.deepEqual(rowShares([[3, 1], [0, 0]]), [[0.75, 0.25], [0, 0]]);
});

test("bytes with one channel become grey, with three colours", () => {
  assert.deepEqual([...rgba("AP8=", 1)], [0, 0, 0, 255, 255, 255, 255, 255]);
  assert.deepEqual([...rgba("AQID", 3)], [1, 2, 3, 255]);
});

/** A painter by hand: `frames` and `rests` are what it waits for, `clock.now` is its time. */
function handPainter() {
  const frames = [];
  const rests = [];
  const clock = { now: 0 };
  const painter = new Painter((act) => frames.push(act), (act, ms) => rests.push({ act, ms }), () => clock.now);
  return { painter, frames, rests, clock };
}
const settle = () => new Promise((resolve) => setTimeout(resolve));

test("the first chart that asks is drawn with the next frame, and each chart once a round", async () => {
  const { painter, frames, rests } = handPainter();
  const drawn = [];
  const [a, b] = [async () => void drawn.push("a"), async () => void drawn.push("b")];
  for (const paint of [a, b, a]) painter.ask(paint);
  assert.equal(frames.length, 1);
  frames.shift()();
  await settle();
  assert.deepEqual(drawn, ["a", "b"]);
  assert.equal(rests[0].ms, 0);
});

test("after a slow round the painter rests half as long as the round took, and forgets nothing that asked meanwhile", async () => {
  const { painter, frames, rests, clock } = handPainter();
  let count = 0;
  const paint = async () => { clock.now += 80; count += 1; };
  painter.ask(paint);
  frames.shift()();
  await settle();
  assert.equal(rests[0].ms, 40);
  painter.ask(paint);
  assert.equal(frames.length, 0);
  rests.shift().act();
  frames.shift()();
  await settle();
  assert.equal(count, 2);
  rests.shift().act();
  assert.equal(frames.length, 0);
  painter.ask(paint);
  assert.equal(frames.length, 1);
});

test("a chart that was not drawn in the last round waits for no rest, and those that were go on resting", async () => {
  const { painter, frames, rests, clock } = handPainter();
  const drawn = [];
  const of = (name) => async () => { clock.now += 80; drawn.push(name); };
  const [a, b, c] = [of("a"), of("b"), of("c")];
  painter.ask(a);
  frames.shift()();
  painter.ask(b); // while a is drawn
  await settle();
  assert.deepEqual(drawn, ["a", "b"], "it joins the round");
  painter.ask(a);
  assert.equal(frames.length, 0);
  painter.ask(c);
  frames.shift()();
  painter.ask(b);
  await settle();
  assert.deepEqual(drawn, ["a", "b", "c"]);
  rests.shift().act();
  assert.equal(frames.length, 0, "the rest of the first round goes on in that of the second");
  rests.shift().act();
  frames.shift()();
  await settle();
  assert.deepEqual(drawn.slice(3).sort(), ["a", "b"]);
});

test("between two charts of a round the browser has a turn", async () => {
  const order = [];
  const painter = new Painter((act) => act(), () => {}, () => 0, async () => void order.push("turn"));
  painter.busy = true; // all ask before the frame comes
  for (const name of ["a", "b", "c"]) painter.ask(async () => void order.push(name));
  await painter.round();
  assert.deepEqual(order, ["a", "turn", "b", "turn", "c"]);
});

test("a chart that cannot be drawn says so and does not stop the others", async (t) => {
  const said = t.mock.method(console, "error", () => {});
  const { painter, frames, rests } = handPainter();
  let drawn = false;
  painter.ask(async () => { throw new Error("no library"); });
  painter.ask(async () => { drawn = true; });
  frames.shift()();
  await settle();
  assert.ok(drawn);
  assert.match(String(said.mock.calls[0].arguments[0]), /no library/);
  assert.equal(rests.length, 1);
});
