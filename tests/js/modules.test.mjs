// Every module imports what is there: one name that is not stops all scripts of all pages.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../static/js");
const files = readdirSync(root, { recursive: true }).filter((name) => name.endsWith(".js")).map((name) => join(root, name));
const text = new Map(files.map((path) => [path, readFileSync(path, "utf8")]));

/** Names that a module gives to others. */
function exported(source) {
  const own = [...source.matchAll(/^export (?:async )?(?:function\*?|class|const|let) (\w+)/gm)].map((found) => found[1]);
  const listed = [...source.matchAll(/^export \{([^}]*)\}/gm)].flatMap((found) => found[1].split(",").map((one) => one.trim().split(/ as /).pop()));
  return new Set([...own, ...listed]);
}

test("every import names a module and something that it exports", () => {
  const wrong = [];
  let count = 0;
  for (const [path, source] of text) {
    for (const [, names, from] of source.matchAll(/^import (?:\{([^}]*)\} from )?"(\.[^"]+)";/gm)) {
      const target = text.get(resolve(dirname(path), from));
      count += 1;
      if (target === undefined) wrong.push(`${path}: no module ${from}`);
      else for (const name of (names ?? "").split(",").map((one) => one.trim().split(/ as /)[0]).filter(Boolean)) {
        if (!exported(target).has(name)) wrong.push(`${path}: ${from} has no ${name}`);
      }
    }
  }
  assert.ok(count > 30);
  assert.deepEqual(wrong, []);
});
