// Pure parts of the pages of runs.
import assert from "node:assert/strict";
import test from "node:test";

globalThis.HTMLElement ??= class {};
globalThis.location ??= { href: "http://127.0.0.1/" };
const { inWords, same } = await import("../../static/js/runs/changes.js");
const { lastLines } = await import("../../static/js/runs/log-tail.js");
const { compareWords, countdown, fillBreakdown, freshness, left, percent, share, tabTitle } = await import("../../static/js/runs/shown.js");

test("two spellings of a number are the same value", () => {
  assert.ok(same("3e-4", "0.0003"));
  assert.ok(same(" 8 ", "8"));
  assert.ok(!same("", "0"));
  assert.ok(!same("adam", "adamw"));
});

test("changes are told with their labels and both values", () => {
  assert.equal(inWords([], "#12"), "The same values as run #12.");
  const one = { label: "Learning rate", was: "0.001", now: "3e-4" };
  assert.equal(inWords([one], "#12"), "1 change against #12: Learning rate 0.001 → 3e-4");
  const words = inWords(Array.from({ length: 8 }, () => ({ label: "x", was: "", now: "1" })), "#1");
  assert.match(words, /^8 changes against #1: x default → 1, .*, and 2 more$/);
});

test("the last lines are what a terminal would show", () => {
  assert.equal(lastLines("a\nb\nc\n", 2), "b\nc");
  assert.equal(lastLines("10 %\r50 %\r100 %\ndone\r\n", 5), "100 %\ndone");
  assert.equal(lastLines("\u001b[31mred\u001b[0m\n", 5), "red");
});

test("the title of the tab tells how far the run is", () => {
  assert.equal(tabTitle("#1 a", { state: "running", shown: { fraction: 0.624 } }), "62 %\u2002#1 a");
  assert.equal(tabTitle("#1 a", { state: "running", shown: { fraction: 0.624, value: "0.917" } }), "62 % · 0.917\u2002#1 a");
  assert.equal(tabTitle("62 % · 0.917\u2002#1 a", { state: "succeeded" }), "✓\u2002#1 a");
  assert.equal(tabTitle("✓\u2002#1 a", { state: "queued" }), "#1 a");
  assert.equal(tabTitle("#1 a · b", { state: "starting", shown: { value: "1" } }), "#1 a · b");
  assert.equal(percent(1), "100 %");
  assert.equal(left(null), "");
  assert.equal(left(75), "1 min 15 s left");
});

test("a share that is not nothing is never shown as nothing", () => {
  assert.equal(share(0), "0 %");
  assert.equal(share(0.01), "< 0.1 %");
  assert.equal(share(4.96), "5.0 %");
  assert.equal(share(9.96), "10 %");
  assert.equal(share(61.5), "62 %");
});

test("a run that has told nothing leaves its card as it is", () => {
  const card = { hidden: true };
  fillBreakdown(/** @type {any} */ ({ querySelector: () => card }), { state: "running", shown: { breakdown: null } });
  assert.equal(card.hidden, true);
  fillBreakdown(null, { state: "running" });
});

test("nothing older than 20 s is shown as fresh, and the server is asked before", () => {
  assert.deepEqual(freshness(5999, false), { ask: false, stale: false });
  assert.deepEqual(freshness(6000, false), { ask: true, stale: false });
  assert.deepEqual(freshness(20000, false), { ask: true, stale: true });
  assert.deepEqual(freshness(10 ** 9, true), { ask: false, stale: false });
});

test("a countdown does not go below nought", () => {
  assert.equal(countdown(10, 0), "10 s");
  assert.equal(countdown(10, 3200), "7 s");
  assert.equal(countdown(10, 99000), "a moment");
});

test("the button that compares says how many runs it would", () => {
  assert.equal(compareWords(false, 0, 10000), "Compare the first 5");
  assert.equal(compareWords(false, 0, 5), "Compare all 5");
  assert.equal(compareWords(false, 0, 3), "Compare all 3");
  assert.equal(compareWords(false, 0, 1), "Compare");
  assert.equal(compareWords(false, 2, 3), "Compare 2");
  assert.equal(compareWords(true, 2, 3), "Compare");
});
