// The socket of a tab: what it asks for at first, after a break, and what it hands on.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

class FakeSocket extends EventTarget {
  static OPEN = 1;
  /** @type {FakeSocket[]} */
  static all = [];
  readyState = 0;
  sent = [];
  constructor(url) {
    super();
    this.url = String(url);
    FakeSocket.all.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text));
  }
  open() {
    this.readyState = 1;
    this.dispatchEvent(new Event("open"));
  }
  say(message) {
    this.dispatchEvent(Object.assign(new Event("message"), { data: JSON.stringify(message) }));
  }
  close(code = 1006) {
    this.readyState = 3;
    this.dispatchEvent(Object.assign(new Event("close"), { code }));
  }
}

mock.timers.enable({ apis: ["setTimeout", "setInterval", "Date"] });
const shown = { hidden: true, dataset: {}, textContent: "" };
const handlers = {};
Object.assign(globalThis, {
  WebSocket: FakeSocket,
  location: { href: "https://studio.example/runs/12/" },
  document: { getElementById: () => shown, addEventListener: (name, act) => (handlers[name] = act), hidden: false },
  addEventListener: (name, act) => (handlers[name] = act),
});
const { backoff, newFrames, setCursor, subscribe } = await import("../../static/js/live.js");

const newest = () => FakeSocket.all.at(-1);
const ends = [];
const listen = (channel, cursor) => {
  const heard = [];
  const end = subscribe(channel, cursor, (message) => heard.push(message));
  ends.push(end);
  return Object.assign(heard, { end });
};
const points = (ch, ...numbers) => ({ ch, t: "m", c: numbers.at(-1), frames: numbers.map((c) => ({ c })) });

beforeEach(() => {
  while (ends.length) ends.pop()();
  if (newest()?.readyState < 3) newest().close();
  FakeSocket.all.length = 0;
});

test("it asks for what follows the cursor, over the scheme of the page", () => {
  listen("run:12", 5);
  newest().open();
  assert.equal(newest().url, "wss://studio.example/ws/live/");
  assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 5 }]);
  assert.equal(shown.dataset.state, "live");
});

test("after a break it asks for what follows the last frame that came", () => {
  const heard = listen("run:12", 0);
  newest().open();
  newest().say(points("run:12", 1, 2, 3));
  newest().close();
  assert.equal(shown.dataset.state, "reconnecting");
  mock.timers.tick(500);
  assert.equal(FakeSocket.all.length, 2);
  newest().open();
  assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 3 }]);
  newest().say(points("run:12", 3, 4));
  assert.deepEqual(heard.map((m) => m.frames.map((f) => f.c)), [[1, 2, 3], [4]]);
});

test("what was heard before is not handed on", () => {
  const heard = listen("run:12", 7);
  newest().open();
  newest().say(points("run:12", 6, 7));
  assert.equal(heard.length, 0);
  assert.deepEqual(newFrames(2, [{ c: 1 }, { c: 2 }, { c: 3 }]), [{ c: 3 }]);
});

test("it tries again ever more slowly while the server is away", () => {
  listen("run:12", 0);
  for (const most of [500, 1000, 2000, 4000, 8000, 10000, 10000]) {
    const before = FakeSocket.all.length;
    newest().close();
    mock.timers.tick(most);
    assert.equal(FakeSocket.all.length, before + 1, `within ${most} ms`);
  }
  newest().open();
  newest().close();
  mock.timers.tick(500);
  newest().open();
  assert.deepEqual([backoff(0, 0), backoff(0, 1), backoff(50, 1)], [250, 500, 10000]);
});

test("who has no session any more is told so, and nothing is asked again", () => {
  listen("run:12", 0);
  newest().open();
  newest().close(4403);
  assert.equal(shown.textContent, "Signed out");
  mock.timers.tick(60000);
  assert.equal(FakeSocket.all.length, 1);
});

test("what somebody may not see any more is not asked for again, and the page says so", () => {
  const heard = listen("run:12", 0);
  listen("run:13", 0);
  newest().open();
  newest().say({ ch: "run:12", op: "error", code: 403 });
  assert.deepEqual([shown.dataset.state, shown.textContent], ["gone", "No longer shared with you"]);
  newest().close();
  mock.timers.tick(500);
  newest().open();
  assert.deepEqual(newest().sent.map((m) => m.ch), ["run:13"]);
  assert.equal(heard.length, 0);
});

test("one channel serves all who listen, from the oldest cursor", () => {
  const states = listen("run:12", Number.MAX_SAFE_INTEGER);
  newest().open();
  const charts = listen("run:12", 3);
  assert.deepEqual(newest().sent.at(-1), { op: "sub", ch: "run:12", cursor: 3 });
  newest().say(points("run:12", 4));
  newest().say({ ch: "run:12", t: "s", d: { state: "running" } });
  newest().say({ ch: "run:13", t: "s", d: {} });
  assert.deepEqual([states.length, charts.length], [2, 2]);
  charts.end();
  assert.equal(newest().sent.length, 2);
  states.end();
  assert.deepEqual(newest().sent.at(-1), { op: "unsub", ch: "run:12" });
});

test("a page that loaded its series again says so after a break", () => {
  listen("run:12", 0);
  newest().open();
  setCursor("run:12", 900);
  setCursor("run:12", 30);
  newest().close();
  mock.timers.tick(500);
  newest().open();
  assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 900 }]);
});

test("a socket that fell silent is replaced", () => {
  listen("run:12", 0);
  newest().open();
  mock.timers.tick(20000);
  assert.deepEqual(newest().sent.at(-1), { op: "ping" });
  mock.timers.tick(40000);
  assert.equal(newest().readyState, 3, "the silent socket was closed");
});

test("a tab that wakes up has a living socket at once", () => {
  listen("run:12", 4);
  newest().open();
  const before = newest();
  mock.timers.setTime(Date.now() + 50000);
  handlers.visibilitychange();
  assert.notEqual(newest(), before);
  newest().open();
  assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 4 }]);
});

for (const [name, event, says] of [
  ["resume", {}, "a page that was frozen"],
  ["pageshow", { persisted: true }, "a page that comes back from the history"],
  ["online", {}, "a page that has a network again"],
]) {
  test(`${says} asks at once for what it missed, though its socket looks open`, () => {
    const heard = listen("run:12", 4);
    newest().open();
    newest().say(points("run:12", 5, 6));
    const before = newest();
    handlers[name](event);
    assert.equal(before.readyState, 3);
    assert.equal(FakeSocket.all.length, 2);
    newest().open();
    assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 6 }]);
    newest().say(points("run:12", 6, 7));
    assert.deepEqual(heard.map((m) => m.frames.map((f) => f.c)), [[5, 6], [7]]);
    mock.timers.tick(15000);
    assert.equal(FakeSocket.all.length, 2, "the socket that was let go is not opened again");
  });
}

test("a page that is shown for the first time, or listens to nothing, opens no other socket", () => {
  for (const name of ["resume", "online"]) handlers[name]({});
  assert.equal(FakeSocket.all.length, 0);
  listen("run:12", 4);
  newest().open();
  handlers.pageshow({ persisted: false });
  assert.equal(FakeSocket.all.length, 1);
});

test("a page that is live opens its socket before anything in it wants to hear", async () => {
  document.querySelector = (selector) => (selector === "script[data-live]" ? {} : null);
  const early = await import("../../static/js/live.js?a-live-page");
  delete document.querySelector;
  assert.equal(FakeSocket.all.length, 1);
  shown.hidden = true;
  newest().open();
  assert.deepEqual(newest().sent, []);
  shown.hidden = true; // the page had no place for it yet
  const end = early.subscribe("run:12", 3, () => {});
  assert.deepEqual(newest().sent, [{ op: "sub", ch: "run:12", cursor: 3 }]);
  assert.deepEqual([FakeSocket.all.length, shown.hidden, shown.dataset.state], [1, false, "live"]);
  end();
});

test("other pages have no socket until something wants to hear", async () => {
  await import("../../static/js/live.js?another-page");
  assert.equal(FakeSocket.all.length, 0);
});
