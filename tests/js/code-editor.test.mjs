import assert from "node:assert/strict";
import { test } from "node:test";

import { lineRange } from "../../static/js/registry/code-editor.js";

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
