// Names after an @ in a text that somebody writes.
import assert from "node:assert/strict";
import { test } from "node:test";
import { begunAt, fitting, named } from "../../static/js/reports/mentions.js";

test("a name is begun after an @ that stands at the start of a word", () => {
  assert.deepEqual(begunAt("@", 1), { start: 0, text: "" });
  assert.deepEqual(begunAt("ask @an", 7), { start: 4, text: "an" });
  assert.deepEqual(begunAt("(@an.b-c", 8), { start: 1, text: "an.b-c" });
  assert.deepEqual(begunAt("ask @anna now", 7), { start: 4, text: "an" });
  assert.equal(begunAt("mail a@b", 8), null);
  assert.equal(begunAt("ask @anna now", 13), null);
  assert.equal(begunAt("@@a", 3), null);
});

test("people who begin so come first, and few of them", () => {
  assert.deepEqual(fitting(["joanna", "Anna", "bert", "andy"], "an"), ["andy", "Anna", "joanna"]);
  assert.equal(fitting(Array.from({ length: 30 }, (_, i) => `p${i}`), "").length, 8);
  assert.deepEqual(fitting(["anna"], "x"), []);
});

test("the whole name takes the place of what was begun", () => {
  assert.deepEqual(named("ask @an", { start: 4, text: "an" }, "anna"), { text: "ask @anna ", at: 10 });
  assert.deepEqual(named("@ now", { start: 0, text: "" }, "bert"), { text: "@bert now", at: 6 });
});
