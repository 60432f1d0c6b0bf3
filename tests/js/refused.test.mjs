// What a refused request says where its answer says nothing.
import assert from "node:assert/strict";
import test from "node:test";
import { refusal } from "../../static/js/core/refused.js";

test("the words of the answer come first, else the status tells whose fault it was", () => {
  assert.equal(refusal(403, "Your role does not allow this."), "Your role does not allow this.");
  assert.match(refusal(403, ""), /refused this \(403\)/);
  assert.match(refusal(502, ""), /failed to do this \(502\)/);
});
