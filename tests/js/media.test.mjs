// Media of a run: each item at its key and step once, and figures that can do nothing but be drawn.
import assert from "node:assert/strict";
import test from "node:test";

const { arranged, MediaStore, overSteps, placeOf, safeFigure, scaleOf, thinned } = await import("../../static/js/tracking/media_store.js");

let seq = 0;
const item = (key, step, more = {}) => ({ seq: ++seq, key, kind: "image", step, fence: 1, mime: "image/png", caption: "", meta: {}, ...more });
const answer = (items, line = "") => ({ items, cursor: items.at(-1)?.seq ?? 0, line });

test("items of one step stay together and steps are in order whatever order they come in", () => {
  const store = new MediaStore();
  const touched = store.take(answer([item("a", 5), item("a", 5), item("a", 2), item("b", 1)]));
  assert.deepEqual([...touched], ["a\nimage", "b\nimage"]);
  const [a] = store.matching("A");
  assert.deepEqual(a.steps, [2, 5]);
  assert.equal(a.items.get(5).length, 2);
});

test("an answer that comes twice changes nothing", () => {
  const store = new MediaStore();
  const one = answer([item("a", 1)]);
  store.take(one);
  assert.equal(store.take(one).size, 0);
  assert.equal(store.matching("")[0].items.get(1).length, 1);
});

test("a later attempt replaces a step, and a resume makes all be asked for again", () => {
  const store = new MediaStore();
  store.take(answer([item("a", 1), item("a", 1)]));
  store.take(answer([item("a", 1, { fence: 2 })]));
  assert.equal(store.matching("")[0].items.get(1).length, 1);
  assert.equal(store.take(answer([], "1:10")), null);
  assert.deepEqual([store.cursor, store.groups.size], [0, 0]);
});

test("of kinds that are one thing a step the newest is shown", () => {
  const store = new MediaStore();
  store.take(answer([item("t", 1, { kind: "text" }), item("t", 1, { kind: "text", caption: "new" })]));
  assert.deepEqual(store.matching("")[0].items.get(1).map((i) => i.caption), ["new"]);
});

test("a linked slider shows the step or the one before it", () => {
  assert.deepEqual([0, 10, 14, 15, 99].map((s) => placeOf([10, 15, 20], s)), [0, 0, 0, 1, 2]);
  assert.deepEqual(thinned([1, 2, 3, 4, 5, 6, 7], 3), [1, 4, 7]);
});

test("histograms on shared bins keep their weight", () => {
  const { x, y, z } = overSteps([{ step: 1, edges: [0, 1, 2], counts: [1, 3] }, { step: 2, edges: [-2, 8], counts: [5] }], 20);
  const width = 10 / 20;
  assert.deepEqual(x, [1, 2]);
  assert.equal(y.length, 20);
  for (const column of [0, 1]) assert.ok(Math.abs(z.reduce((sum, row) => sum + row[column] * width, 0) - 1) < 1e-9);
});

test("a figure keeps what can be drawn and nothing that loads, links or acts", () => {
  const figure = {
    data: [
      { type: "scatter", y: [1, 2], text: "<a href='javascript:alert(1)'>x</a> <b>bold</b>", hovertemplate: "<A HREF=//evil>y" },
      { type: "surface", z: [[1]] }, { type: "image", source: "https://evil.example/x.png" }, { type: "scattergl", y: [1] }, null, 5,
    ],
    layout: { title: { text: "t" }, images: [{ source: "https://evil.example" }], updatemenus: [{}], sliders: [{}], template: { layout: { images: [1] } }, width: 9000 },
    config: { plotlyServerURL: "https://evil.example" }, frames: [{}],
  };
  const { data, layout, missing } = safeFigure(figure);
  assert.deepEqual(data.map((t) => t.type), ["scatter", "image", "scatter"]);
  assert.equal(data[0].text, "x bold");
  assert.equal(safeFigure({ layout: { title: "a < b<br>c" } }).layout.title, "a < b<br>c");
  assert.equal(data[0].hovertemplate, "y");
  assert.deepEqual(missing, ["surface"]);
  assert.deepEqual(layout, { title: { text: "t" } });
  assert.ok(!JSON.stringify({ data, layout }).match(/evil|javascript|href/i));
  assert.deepEqual(safeFigure(null), { data: [], layout: {}, missing: [] });
  let deep = {};
  for (let i = 0; i < 5000; i++) deep = { deep };
  assert.equal(safeFigure({ data: [{ x: deep }] }).data.length, 1);
});

test("a table is searched in all cells and sorted by size, nothing last", () => {
  const rows = [["b", 10], ["a", null], ["c", 9]];
  assert.deepEqual(arranged(rows, "", { column: 1, up: true }), [["c", 9], ["b", 10], ["a", null]]);
  assert.deepEqual(arranged(rows, "", { column: 1, up: false }), [["b", 10], ["c", 9], ["a", null]]);
  assert.deepEqual(arranged(rows, "C", null), [["c", 9]]);
});

test("a drawn figure has the scale of its colours, where it has one", () => {
  const colorscale = [[0, "rgb(0,0,0)"], [1, "#fff"]];
  assert.deepEqual(scaleOf({ _fullData: [{ y: [1] }, { colorscale, zmin: 1, zmax: 4 }] }), { low: 1, high: 4, colours: ["rgb(0,0,0) 0%", "#fff 100%"] });
  assert.deepEqual(scaleOf({ _fullLayout: { coloraxis: { cmin: 0, cmax: 2, colorscale } } })?.high, 2);
  assert.equal(scaleOf({ _fullData: [{ y: [1] }] }), null);
});
