// The chunked upload against a small studio in memory: resume, cut connections, refusals.
import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_TRIES, MAX_UNANSWERED, UploadError, cancelFile, sendFile } from "../../static/js/registry/send-file.js";

const CHUNK = 4;

function fileOf(text) {
  const bytes = new TextEncoder().encode(text);
  return { name: "a.csv", size: bytes.length, lastModified: 1, slice: (from, to) => new Blob([bytes.slice(from, to)]) };
}

/** Keeps what arrives; `faults` maps the number of a PUT to what happens instead: "cut", "lost" or a status. */
function studio(size, faults = {}) {
  const held = { bytes: [], puts: 0, begun: 0, deleted: 0, digests: 0 };
  const state = () =>
    Response.json({ id: "u1", url: "/uploads/u1/", received: held.bytes.length, size, finished: held.bytes.length === size, chunk: CHUNK });
  const ask = async (url, options = {}) => {
    if (options.method === "POST") {
      held.begun += 1;
      return state();
    }
    if (options.method === "DELETE") {
      held.deleted += 1;
      return new Response(null, { status: 204 });
    }
    if (options.method !== "PUT") return held.begun ? state() : new Response("{}", { status: 404 });
    held.puts += 1;
    const fault = faults[held.puts] ?? faults.always;
    if (fault === "cut") throw new TypeError("network");
    if (typeof fault === "number") return Response.json({ error: { message: `refused ${fault}` } }, { status: fault });
    const offset = Number(options.headers["Upload-Offset"]);
    if (offset !== held.bytes.length) {
      return Response.json({ error: { message: "offset" }, received: held.bytes.length }, { status: 409 });
    }
    if (options.headers["Content-Digest"]) held.digests += 1;
    held.bytes.push(...new Uint8Array(options.body));
    if (fault === "lost") throw new TypeError("the answer got lost");
    return state();
  };
  return { held, ask };
}

function memory() {
  const kept = new Map();
  return { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v), removeItem: (k) => kept.delete(k), kept };
}

const options = (ask, more = {}) => ({ createUrl: "/projects/1/uploads/", token: "t", fetch: ask, wait: async () => {}, ...more });
const text = "a,b\n1,2\n3,4\n";

test("a file arrives whole, with a digest for each chunk", async () => {
  const { held, ask } = studio(text.length);
  const seen = [];
  assert.equal(await sendFile(fileOf(text), options(ask, { onProgress: (n) => seen.push(n) })), "u1");
  assert.equal(new TextDecoder().decode(new Uint8Array(held.bytes)), text);
  assert.deepEqual(seen, [0, 4, 8, 12]);
  assert.equal(held.digests, 3);
});

for (const fault of ["cut", "lost", 503]) {
  test(`it goes on after ${fault}`, async () => {
    const { held, ask } = studio(text.length, { 2: fault });
    await sendFile(fileOf(text), options(ask));
    assert.equal(new TextDecoder().decode(new Uint8Array(held.bytes)), text);
  });
}

test("it resumes an upload of before the reload", async () => {
  const { held, ask } = studio(text.length, { 2: 413 });
  const kept = memory();
  await assert.rejects(sendFile(fileOf(text), options(ask, { memory: kept })), UploadError);
  assert.equal(held.bytes.length, 4);
  await sendFile(fileOf(text), options(ask, { memory: kept }));
  assert.equal(held.begun, 1);
  assert.equal(new TextDecoder().decode(new Uint8Array(held.bytes)), text);
  assert.equal(kept.kept.size, 0);
});

test("it gives up with the studio's words", async () => {
  const { ask } = studio(text.length, { 1: 413 });
  await assert.rejects(sendFile(fileOf(text), options(ask)), /refused 413/);
});

test("it gives up after so many tries, and says that the file is kept", async () => {
  const { held, ask } = studio(text.length, { always: "cut" });
  await assert.rejects(sendFile(fileOf(text), options(ask)), /go on where it stopped/);
  assert.equal(held.puts, MAX_UNANSWERED);
});

test("it waits minutes for a studio that starts again", async () => {
  const gone = Object.fromEntries(Array.from({ length: MAX_UNANSWERED - 1 }, (_, i) => [i + 2, "cut"]));
  const { held, ask } = studio(text.length, gone);
  let waited = 0;
  await sendFile(fileOf(text), options(ask, { wait: async (seconds) => void (waited += seconds) }));
  assert.equal(held.bytes.length, text.length);
  assert.ok(waited > 240);
});

test("a refusal that says where to go on is asked about a few times only", async () => {
  const { held, ask } = studio(text.length, { always: "elsewhere" });
  const refusing = async (url, given = {}) => {
    if (given.method !== "PUT") return ask(url, given);
    held.puts += 1;
    return Response.json({ error: { message: "damaged" }, received: 0 }, { status: 422 });
  };
  await assert.rejects(sendFile(fileOf(text), options(refusing)), /damaged/);
  assert.equal(held.puts, MAX_TRIES);
});

test("the next chunk is read while one travels, and no further", async () => {
  const { ask } = studio(text.length);
  const file = fileOf(text);
  const slice = file.slice;
  const reads = [];
  file.slice = (from, to) => (reads.push(from), slice(from, to));
  const before = [];
  await sendFile(file, options(async (url, given = {}) => {
    if (given.method === "PUT") before.push([Number(given.headers["Upload-Offset"]), reads.at(-1)]);
    await new Promise((done) => setTimeout(done, 1));
    return ask(url, given);
  }));
  assert.deepEqual(before, [[0, 0], [4, 4], [8, 8]]);
  assert.deepEqual(reads.slice(0, 3), [0, 4, 8]);
});

test("a cancelled upload is removed", async () => {
  const { held, ask } = studio(text.length, { 2: 413 });
  const kept = memory();
  await assert.rejects(sendFile(fileOf(text), options(ask, { memory: kept })));
  await cancelFile(fileOf(text), options(ask, { memory: kept }));
  assert.deepEqual([held.deleted, kept.kept.size], [1, 0]);
});
