// @ts-check
// One socket a tab for all live values. Subscribe with a cursor; after a break everything missed is sent again.
//
// To the server: {"op": "sub", "ch": "run:12", "cursor": 512}, {"op": "unsub", "ch"}, {"op": "ping"}
// From it: {"ch", "t": "m", "c", "frames": [{c, fence, names, steps, epochs, times, values}]}, {"ch", "t": "s", "d"},
// {"ch", "t": "log", "o", "f", "d"}, {"ch", "t": "media"} (there are new ones, or may be), {"ch", "op": "reset"}, {"ch", "op": "error", "code"}, {"op": "pong"}
// An error 403 or 404 ends the channel: who asks may not see it (any more). A close with 4403 ends all: the session is over.

/** @typedef {{ch?: string, op?: string, t?: string, c?: number, d?: any, frames?: any[], o?: number, f?: number, code?: number}} Message */
/** @typedef {(message: Message) => void} Handler */

const PING_MS = 20000;
const SILENT_MS = 45000;

/** @type {Map<string, {cursor: number, handlers: Set<Handler>}>} */
const channels = new Map();
/** @type {WebSocket | null} */
let socket = null;
let failures = 0;
let lastHeard = 0;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let retry;

/**
 * How long to wait before the next try: doubled each time, half of it at random, at most 10 s.
 * @param {number} failed
 * @param {number} random from 0 to 1
 */
export function backoff(failed, random) {
  const most = Math.min(10000, 500 * 2 ** Math.min(failed, 6));
  return most / 2 + (most / 2) * random;
}

/**
 * Takes a frame message's frames that are new for this cursor.
 * @param {number} cursor
 * @param {any[]} frames
 */
export function newFrames(cursor, frames) {
  return frames.filter((frame) => frame.c > cursor);
}

/**
 * @param {string} channel
 * @param {number} cursor everything up to this frame is known already
 * @param {Handler} handler
 * @returns {() => void} ends the subscription
 */
export function subscribe(channel, cursor, handler) {
  let entry = channels.get(channel);
  if (entry) {
    entry.cursor = Math.min(entry.cursor, cursor);
  } else {
    entry = { cursor, handlers: new Set() };
    channels.set(channel, entry);
  }
  entry.handlers.add(handler);
  if (socket?.readyState === WebSocket.OPEN) {
    send({ op: "sub", ch: channel, cursor: entry.cursor });
    show("live"); // it may have opened before the page had a place for it
  } else connect();
  return () => {
    entry.handlers.delete(handler);
    if (entry.handlers.size || channels.get(channel) !== entry) return;
    channels.delete(channel);
    send({ op: "unsub", ch: channel });
  };
}

/**
 * Says that the page itself has loaded everything up to `cursor`.
 * @param {string} channel
 * @param {number} cursor
 */
export function setCursor(channel, cursor) {
  const entry = channels.get(channel);
  if (entry) entry.cursor = Math.max(entry.cursor, cursor);
}

/** @param {object} message */
function send(message) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function connect() {
  if (socket && socket.readyState <= WebSocket.OPEN) return;
  clearTimeout(retry);
  const url = new URL("/ws/live/", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const opened = new WebSocket(url);
  socket = opened;
  lastHeard = Date.now();
  opened.addEventListener("open", () => {
    failures = 0;
    lastHeard = Date.now();
    show("live");
    for (const [name, entry] of channels) send({ op: "sub", ch: name, cursor: entry.cursor });
  });
  opened.addEventListener("message", (event) => {
    lastHeard = Date.now();
    receive(JSON.parse(event.data));
  });
  opened.addEventListener("close", (event) => {
    if (socket !== opened) return;
    socket = null;
    if (event.code === 4403) show("signed-out");
    if (!channels.size || event.code === 4403) return;
    show("reconnecting");
    retry = setTimeout(connect, backoff(failures++, Math.random()));
  });
}

/** A new socket at once, which asks for all that follows the cursors. */
function renew() {
  if (!channels.size) return;
  socket?.close();
  socket = null;
  failures = 0;
  connect();
}

/** @param {Message} message */
function receive(message) {
  const entry = message.ch ? channels.get(message.ch) : undefined;
  if (!entry) return;
  if (message.op === "error" && (message.code === 403 || message.code === 404)) {
    channels.delete(message.ch ?? "");
    show("gone");
    return;
  }
  if (message.t === "m") {
    message.frames = newFrames(entry.cursor, message.frames ?? []);
    entry.cursor = Math.max(entry.cursor, message.c ?? 0);
    if (!message.frames.length) return;
  }
  for (const handler of entry.handlers) handler(message);
}

const SHOWN = { live: "Live", reconnecting: "Reconnecting", gone: "No longer shared with you", "signed-out": "Signed out" };

/** @param {keyof typeof SHOWN} state */
function show(state) {
  const element = document.getElementById("connection");
  if (!element) return;
  element.hidden = false;
  element.dataset.state = state;
  element.textContent = SHOWN[state];
}

if (typeof document !== "undefined") {
  setInterval(() => {
    if (!socket) return;
    if (Date.now() - lastHeard > SILENT_MS) socket.close();
    else send({ op: "ping" });
  }, PING_MS);
  // A tab that slept may hold a socket that died unnoticed.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden || !channels.size) return;
    if (!socket || Date.now() - lastHeard > SILENT_MS) renew();
    else send({ op: "ping" });
  });
  // What was frozen, kept in the history or without a network may hold a dead socket that still looks open.
  document.addEventListener("resume", renew);
  addEventListener("pageshow", (event) => event.persisted && renew());
  addEventListener("online", renew);
  if (document.querySelector?.("script[data-live]")) connect(); // a page that is live at once, before it has been read
}
