// @ts-check
import assert from "node:assert/strict";
import test from "node:test";

import { pointOf, talkAt } from "../../static/js/tracking/talk.js";

test("a point goes through the address of a comment and back", () => {
  const address = talkAt("/runs/3/discussion/", "val/loss & more", 21.4);
  assert.equal(address, "/runs/3/discussion/?metric=val%2Floss+%26+more&step=21#new-comment");
  assert.deepEqual(pointOf(new URL(address, "http://studio").search), { metric: "val/loss & more", step: 21 });
});

test("an address without a point names none", () => {
  for (const search of ["", "?metric=loss", "?step=3", "?metric=loss&step=", "?metric=loss&step=-1", "?metric=loss&step=1e3", "?metric=&step=3"]) assert.equal(pointOf(search), null, search);
});
