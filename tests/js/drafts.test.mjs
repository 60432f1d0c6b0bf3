// Drafts of forms and the search for fields.
import assert from "node:assert/strict";
import test from "node:test";

import { matches } from "../../static/js/runs/changes.js";
import { age, differences, read, write } from "../../static/js/runs/drafts.js";

/** A storage in memory. */
function storage() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text), kept };
}

test("a draft comes back until it is sent or old", () => {
  const place = storage();
  const draft = { at: 1000, sent: false, choice: "?model=1", values: { "model.lr": "3e-4" } };
  write(place, "a", draft);
  assert.deepEqual(read(place, "a", 2000), draft);
  assert.equal(read(place, "b", 2000), null);
  assert.equal(read(place, "a", 1000 + 8 * 24 * 3600 * 1000), null);
  write(place, "a", { ...draft, sent: true });
  assert.equal(read(place, "a", 2000), null);
  place.kept.set("a", "{");
  assert.equal(read(place, "a", 2000), null);
});

test("only what differs from the page and has a field there is put back", () => {
  assert.deepEqual(differences({ a: "1", b: "2" }, { a: "1", b: "3", gone: "4" }), { b: "3" });
});

test("ages are said in words", () => {
  assert.deepEqual([5e3, 5 * 6e4, 3 * 36e5, 50 * 36e5].map(age), ["just now", "5 min ago", "3 h ago", "2 d ago"]);
});

test("a field is found by all the words of its name, label or help", () => {
  const text = "trainer.max_epochs Max epochs Passes over the training data";
  assert.ok(matches("max_ep", text));
  assert.ok(matches("data passes", text));
  assert.ok(matches("", text));
  assert.ok(!matches("max steps", text));
});
