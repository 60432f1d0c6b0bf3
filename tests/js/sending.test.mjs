// Whether a form can be sent, and why not.
import assert from "node:assert/strict";
import test from "node:test";
import { obstacle } from "../../static/js/core/sending.js";

const answers = (status) => async () => ({ status });
const fails = (name) => async () => {
  throw Object.assign(new Error(), { name });
};

test("whoever is answered may send, also when the answer is that there is nothing", async () => {
  for (const status of [200, 204, 304, 404]) assert.deepEqual(await obstacle("/", answers(status)), { words: "", signIn: false });
});

test("who is signed out, and a studio that is away, slow or broken, are told apart", async () => {
  assert.deepEqual([(await obstacle("/", answers(401))).signIn, (await obstacle("/", answers(503))).signIn], [true, false]);
  assert.match((await obstacle("/", answers(401))).words, /signed out.*still here/);
  assert.match((await obstacle("/", fails("TypeError"))).words, /does not answer.*still here/);
  assert.match((await obstacle("/", fails("TimeoutError"))).words, /too long.*still here/);
  assert.match((await obstacle("/", answers(503))).words, /failed.*503/);
});
