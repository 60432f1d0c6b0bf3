import assert from "node:assert/strict";
import { test } from "node:test";

import { difference, indentBelow, lineRange } from "../../static/js/core/code-editor.js";

test("a mark covers the words of its line", () => {
  const text = "import torch\n\n  x = 1\nlast";
  assert.deepEqual(lineRange(text, 1), { from: 0, to: 12 });
  assert.deepEqual(lineRange(text, 2), { from: 13, to: 13 });
  assert.deepEqual(lineRange(text, 3), { from: 16, to: 21 });
  assert.equal(text.slice(16, 21), "x = 1");
  assert.deepEqual(lineRange(text, 4), { from: 22, to: 26 });
});

test("a line that is not there has no mark", () => {
  for (const line of [0, -1, 5, NaN]) assert.equal(lineRange("a\nb\nc\nd", line), null);
});

test("the change from one text to another leaves what they share", () => {
  const changed = (before, after) => {
    const { from, to, insert } = difference(before, after);
    assert.equal(before.slice(0, from) + insert + before.slice(to), after);
    return [from, to, insert];
  };
  assert.deepEqual(changed("lr: 0.1\nseed: 7", "lr: 0.25\nseed: 7"), [6, 7, "25"]);
  assert.deepEqual(changed("same", "same"), [4, 4, ""]);
  assert.deepEqual(changed("", "a"), [0, 0, "a"]);
  assert.deepEqual(changed("aa", "a"), [1, 2, ""]);
  assert.deepEqual(changed("a", "aa"), [1, 1, "a"]);
  assert.deepEqual(changed("abc", ""), [0, 3, ""]);
});

test("a line of YAML begins below the one above, and further in below a name without a value", () => {
  for (const [above, begins] of [["seed: 7", ""], ["  max_epochs: 3", "  "], ["trainer:", "  "], ["  args:  # none", "    "], ["  - 3", "  "], ["", ""], ["  note: at 10:30", "  "]]) assert.equal(indentBelow(above), begins, above);
});
