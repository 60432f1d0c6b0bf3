// @ts-check
// Which part of the y axis is shown when outliers are clipped, and what that leaves out.

/** @typedef {import("./points.js").Line} Line */
/** @typedef {"none" | "98" | "90"} Clip the middle share of the values that is shown, in percent */

/**
 * @param {Line[]} lines
 * @param {Clip} clip
 * @param {boolean} log
 * @returns {{range: [number, number], above: number, below: number} | null} null when nothing is left out
 */
export function clipped(lines, clip, log) {
  if (clip === "none") return null;
  const values = lines.flatMap((line) => line.y.filter((v) => v !== null && (!log || v > 0))).sort((a, b) => a - b);
  if (values.length < 10) return null;
  const tail = (100 - Number(clip)) / 200;
  const low = quantile(values, tail);
  const high = quantile(values, 1 - tail);
  let above = 0;
  let below = 0;
  for (const line of lines) {
    line.y.forEach((y, i) => {
      const most = line.max?.[i] ?? y;
      const least = line.min?.[i] ?? y;
      if (most !== null && most > high) above++;
      if (least !== null && least < low && (!log || least > 0)) below++;
    });
  }
  if (!above && !below) return null;
  const [from, to] = log ? [Math.log10(low), Math.log10(high)] : [low, high];
  const margin = (to - from || Math.abs(to) || 1) * 0.05;
  return { range: [from - margin, to + margin], above, below };
}

/** @param {{above: number, below: number} | null} found @param {Clip} clip */
export function clipWords(found, clip) {
  if (!found) return "";
  const share = (100 - Number(clip)) / 2;
  const parts = [found.above ? `${found.above} above` : "", found.below ? `${found.below} below` : ""].filter(Boolean);
  return `Not shown: ${parts.join(" and ")} (beyond ${share}–${100 - share} %)`;
}

/** @param {number[]} sorted @param {number} share from 0 to 1 */
function quantile(sorted, share) {
  const at = (sorted.length - 1) * share;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}
