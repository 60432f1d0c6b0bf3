// Where a dragged row of the queue goes.
import assert from "node:assert/strict";
import test from "node:test";
import { placeBefore } from "../../static/js/runs/order.js";

const keys = ["a", "b", "c", "d"];
/** What the server makes of the order. */
function moved(dragged, target) {
  const order = placeBefore(keys, dragged, target);
  if (!order) return keys.join("");
  const left = keys.filter((key) => key !== dragged);
  left.splice("before" in order ? left.indexOf(order.before) : left.length, 0, dragged);
  return left.join("");
}

test("a dragged row takes the place of the one it is dropped on", () => {
  assert.equal(moved("d", "a"), "dabc");
  assert.equal(moved("c", "b"), "acbd");
  assert.equal(moved("a", "b"), "bacd");
  assert.equal(moved("a", "d"), "bcda");
});

test("dropped on itself or on a stranger it stays", () => {
  assert.equal(moved("b", "b"), "abcd");
  assert.equal(moved("b", "x"), "abcd");
  assert.equal(placeBefore(keys, "x", "a"), null);
});
