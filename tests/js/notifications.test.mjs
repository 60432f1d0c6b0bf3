import assert from "node:assert/strict";
import { test } from "node:test";

import { countText } from "../../static/js/notifications/bell.js";

test("the bell shows nothing for none and does not grow without end", () => {
  assert.deepEqual([0, 1, 99, 100].map(countText), ["", "1", "99", "99+"]);
});
