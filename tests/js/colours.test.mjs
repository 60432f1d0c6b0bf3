// Colours of lines: told apart by everybody, seen on both themes, and the same for a run everywhere.
import assert from "node:assert/strict";
import test from "node:test";

const { PALETTES, lookOfMetric, lookOfRun } = await import("../../static/js/tracking/colours.js");

// https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
const linear = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
const luminance = ([r, g, b]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
const contrast = (a, b) => {
  const [dark, light] = [a, b].map((c) => luminance(linear(c))).sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
// How people see who lack one kind of cone: Machado, Oliveira and Fernandes 2009, severity 1.
const SIGHT = {
  full: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};
const seen = (matrix, rgb) => matrix.map((row) => Math.min(1, Math.max(0, row.reduce((sum, v, i) => sum + v * rgb[i], 0))));
// https://bottosson.github.io/posts/oklab/
const oklab = ([r, g, b]) => {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s, 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s];
};

for (const [theme, ground] of [["light", "#ffffff"], ["dark", "#141a22"]]) {
  test(`each of the ten colours stands out on ${theme}`, () => {
    for (const colour of PALETTES[theme]) assert.ok(contrast(colour, ground) >= 3, `${colour}: ${contrast(colour, ground)}`);
  });
  test(`any two colours on ${theme} look different, whatever somebody's eyes see`, () => {
    for (const [sight, matrix] of Object.entries(SIGHT)) {
      const labs = PALETTES[theme].map((colour) => oklab(seen(matrix, linear(colour))));
      labs.forEach((a, i) => labs.slice(i + 1).forEach((b, k) => {
        const apart = Math.hypot(...a.map((v, q) => v - b[q]));
        assert.ok(apart >= 0.07, `${sight}: ${PALETTES[theme][i]} and ${PALETTES[theme][i + 1 + k]} are ${apart.toFixed(3)} apart`);
      }));
    }
  });
}

test("a run keeps its look, and forty runs in a row all differ", () => {
  assert.deepEqual(lookOfRun(17, "light"), lookOfRun(17, "light"));
  const looks = Array.from({ length: 40 }, (_, k) => JSON.stringify(lookOfRun(123 + k, "dark")));
  assert.equal(new Set(looks).size, 40);
  assert.equal(new Set(Array.from({ length: 20 }, (_, k) => JSON.stringify(lookOfMetric(k, "light")))).size, 20);
});
