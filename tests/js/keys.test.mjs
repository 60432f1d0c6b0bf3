// Which keys a page takes, what the palette puts first, and the icon of a tab.
import assert from "node:assert/strict";
import { test } from "node:test";

let openDialog = null;
globalThis.document = { documentElement: { dataset: {} }, querySelector: (selector) => (selector.startsWith("dialog") ? openDialog : null), addEventListener: () => {}, getElementById: () => null, querySelectorAll: () => [] };
const { isPaletteKey, isPlain } = await import("../../static/js/core/keys.js");
const { rank } = await import("../../static/js/core/palette-items.js");
const { tabIcon } = await import("../../static/js/core/tab-icon.js");

const key = (more) => ({ key: "j", ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, defaultPrevented: false, isComposing: false, target: { closest: () => null }, ...more });

test("a single key counts only where nobody types, no dialog is open and nothing else took it", () => {
  assert.ok(isPlain(key({})));
  assert.ok(!isPlain(key({ target: { closest: () => ({}) } })));
  assert.ok(!isPlain(key({ composedPath: () => [{ closest: () => ({}) }] })), "in the shadow of an element that is no field itself");
  for (const name of ["ctrlKey", "metaKey", "altKey", "defaultPrevented", "isComposing"]) assert.ok(!isPlain(key({ [name]: true })), name);
  openDialog = {};
  assert.ok(!isPlain(key({})));
  openDialog = null;
});

test("single keys can be switched off, the palette's key stays", () => {
  document.documentElement.dataset.keys = "off";
  assert.ok(!isPlain(key({})));
  assert.ok(isPaletteKey(key({ key: "k", ctrlKey: true })));
  assert.ok(isPaletteKey(key({ key: "K", metaKey: true })));
  assert.ok(!isPaletteKey(key({ key: "k", ctrlKey: true, shiftKey: true })));
  delete document.documentElement.dataset.keys;
});

test("what a page offers is found by its words, titles that begin with them first", () => {
  const items = [{ title: "Export runs" }, { title: "Run again" }, { title: "Cancel", note: "stops the run" }, { title: "Pin" }];
  assert.deepEqual(rank(items, "run").map((item) => item.title), ["Run again", "Export runs", "Cancel"]);
  assert.deepEqual(rank(items, " RUN again ").map((item) => item.title), ["Run again"]);
  assert.equal(rank(items, "").length, 4);
  assert.equal(rank(items, "x y").length, 0);
});

test("the icon of a tab fills while a run goes on and shows how it ended", () => {
  assert.equal(tabIcon("queued", 0.5), null);
  assert.equal(tabIcon("running", null), null);
  const dash = (/** @type {string | null} */ uri) => Number(/stroke-dasharray="([\d.]+) /.exec(decodeURIComponent(uri ?? ""))?.[1]);
  assert.ok(Math.abs(dash(tabIcon("running", 0.5)) - Math.PI * 12) < 0.1);
  assert.equal(dash(tabIcon("running", 0)), 0);
  const ends = ["succeeded", "failed", "cancelled"].map((state) => tabIcon(state, 1));
  assert.equal(new Set(ends).size, 3);
  assert.ok(ends.every((uri) => uri?.startsWith("data:image/svg+xml,")));
});
