// The parts of the runs table and of comparisons that need no page.
import assert from "node:assert/strict";
import { test } from "node:test";
import { partAt, replaced } from "../../static/js/runs/clauses.js";
import { chosenWords } from "../../static/js/runs/shown.js";
import { withTicked } from "../../static/js/runs/ticked.js";
import { firstAxes, scaleOf, short } from "../../static/js/tracking/comparison.js";
import { path } from "../../static/js/tracking/spark-line.js";

test("the clause around the cursor is found, quotes keep it whole", () => {
  const text = 'state:failed tag:"a b" lr<1';
  assert.equal(partAt(text, 3).text, "state:failed");
  assert.equal(partAt(text, 12).text, "state:failed");
  assert.equal(partAt(text, 19).text, 'tag:"a b"');
  assert.equal(partAt(text, text.length).text, "lr<1");
  assert.equal(partAt("a ", 2).text, "");
  assert.equal(partAt('x "un closed', 12).text, '"un closed');
});

test("a list of names is separated by commas", () => {
  assert.equal(partAt("lr, val loss", 9, ",").text, "val loss");
  assert.deepEqual(replaced("lr, va", partAt("lr, va", 6, ","), "val_loss", ","), { text: "lr, val_loss, ", at: 14 });
});

test("a completion takes the place of its clause and leaves the others", () => {
  assert.deepEqual(replaced("sta lr<1", partAt("sta lr<1", 2), "state:"), { text: "state: lr<1", at: 6 });
  assert.deepEqual(replaced("state:fa", partAt("state:fa", 8), "state:failed"), { text: "state:failed ", at: 13 });
});

test("a small curve goes from left to right and leaves gaps", () => {
  assert.equal(path([1]), "");
  assert.equal(path([1, null]), "");
  assert.equal(path([0, 1]), "M0.0 17.0L76.0 1.0");
  assert.equal(path([0, null, 1, 0.5]).match(/M/g)?.length, 2);
});

test("scales are linear, logarithmic or of words", () => {
  const linear = scaleOf([0, 10]);
  assert.equal(linear.at(5), 0.5);
  const log = scaleOf([1e-5, 1e-1]);
  assert.ok(log.isLog);
  assert.ok(Math.abs((log.at(1e-3) ?? 0) - 0.5) < 1e-9);
  const words = scaleOf(["sgd", "adam", "sgd"]);
  assert.deepEqual([words.at("adam"), words.at("sgd")], [0, 1]);
  assert.equal(scaleOf([2, 2]).at(2), 0.5);
  assert.equal(scaleOf([null, 3, 5]).at(null), null);
  assert.equal(short(-0.00001), "−1.0e−5");
});

test("the first axes are choices, then the objective", () => {
  const axes = [{ key: "config.lr", title: "lr", kind: "choice" }, { key: "cost.time", title: "time", kind: "cost" }, { key: "metric.loss", title: "loss", kind: "metric" }];
  assert.deepEqual(firstAxes({ axes, runs: [], objective: "metric.loss" }), ["config.lr", "metric.loss"]);
});

test("what is ticked stands in a query beside all else, and nothing stands there when nothing is", () => {
  assert.equal(withTicked("?q=lr%3C1&sort=-val,lr", [3, 12]), "q=lr%3C1&sort=-val,lr&ticked=3,12");
  assert.equal(withTicked("?ticked=1,2&page=2", [7]), "page=2&ticked=7");
  assert.equal(withTicked("?ticked=1&page=2", []), "page=2");
  assert.equal(withTicked("", []), "");
  assert.equal(withTicked("?unticked=1", [2]), "unticked=1&ticked=2");
});

test("the bar says how many are chosen, and how many of them the page does not show", () => {
  assert.equal(chosenWords(false, 0, 12345, 0), "Tick runs, or:");
  assert.equal(chosenWords(false, 3, 12345, 0), "3 of 12\u202f345 chosen");
  assert.equal(chosenWords(false, 3, 12, 2), "3 chosen, 2 not on this page");
  assert.equal(chosenWords(true, 3, 1234, 2), "All 1\u202f234 chosen");
  assert.match(chosenWords(false, 200, 1234, 0), /no more fit/);
});

test("the divider is moved by arrows, within what both sides can live with", async () => {
  globalThis.HTMLElement ??= class {};
  globalThis.customElements ??= { define() {} };
  const { moved, shareOf } = await import("../../static/js/runs/split-bar.js");
  assert.equal(moved("ArrowLeft", 40, false), 42);
  assert.equal(moved("ArrowRight", 40, true), 30);
  assert.equal(moved("ArrowRight", 16, false), 15);
  assert.equal(moved("Home", 40, false), 75);
  assert.equal(moved("End", 40, false), 15);
  assert.equal(moved("Enter", 40, false), null);
  assert.equal(moved("j", 40, false), undefined);
  assert.deepEqual([shareOf("33.33"), shareOf(null), shareOf(""), shareOf("x"), shareOf(99)], [33.3, null, null, null, 75]);
});
