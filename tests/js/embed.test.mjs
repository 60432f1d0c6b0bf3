import assert from "node:assert/strict";
import test from "node:test";

import { neededHeight, tell } from "../../static/js/reports/embed.js";

test("a height is told once to each site that the link names, and to nobody else", () => {
  const said = [];
  const parent = { postMessage: (data, origin) => said.push([data, origin]) };
  const height = neededHeight({ getBoundingClientRect: () => ({ height: 812.2 }) });
  assert.equal(tell(parent, ["https://a.example", "https://b.example"], height, 0), true);
  assert.deepEqual(said, [[{ studioHeight: 813 }, "https://a.example"], [{ studioHeight: 813 }, "https://b.example"]]);
  assert.equal(tell(parent, ["https://a.example"], height, height), false);
  assert.equal(tell(parent, ["https://a.example"], 0, height), false);
  assert.equal(said.length, 2);
});
