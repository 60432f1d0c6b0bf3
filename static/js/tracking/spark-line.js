// @ts-check
// <spark-line data-run data-metric>: the small curve of a metric; all of a page are asked for at once.

const WIDTH = 76;
const HEIGHT = 18;

/** @type {Set<SparkLine>} */
const waiting = new Set();
/** @type {Map<string, (number | null)[]>} */
const known = new Map();
let asked = false;

/**
 * The `d` of a path through the values, from the top left of WIDTH × HEIGHT; gaps where there is none. Pure.
 * @param {(number | null)[]} values
 */
export function path(values) {
  const finite = values.filter((v) => v !== null);
  if (finite.length < 2) return "";
  const low = Math.min(...finite);
  const span = Math.max(...finite) - low || 1;
  let pen = "M";
  let text = "";
  values.forEach((value, i) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = (i / (values.length - 1)) * WIDTH;
    const y = HEIGHT - 1 - ((value - low) / span) * (HEIGHT - 2);
    text += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  return text;
}

async function ask() {
  asked = false;
  const lines = [...waiting];
  waiting.clear();
  const url = lines[0]?.closest("[data-sparks]")?.getAttribute("data-sparks");
  if (!url) return;
  const query = new URLSearchParams();
  for (const line of lines) query.append("of", `${line.dataset.run}:${line.dataset.metric}`);
  const response = await fetch(`${url}?${query}`, { credentials: "same-origin" }).catch(() => null);
  if (!response?.ok) return;
  for (const { run, metric, values } of (await response.json()).lines) known.set(`${run}:${metric}`, values);
  for (const line of lines) line.draw();
}

export class SparkLine extends (globalThis.HTMLElement ?? Object) {
  connectedCallback() {
    if (this.draw() || !this.dataset.metric) return;
    waiting.add(this);
    if (!asked) setTimeout(ask, 50);
    asked = true;
  }

  draw() {
    const d = path(known.get(`${this.dataset.run}:${this.dataset.metric}`) ?? []);
    if (!d) return false;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    svg.setAttribute("aria-hidden", "true");
    const line = document.createElementNS(svg.namespaceURI ?? "", "path");
    line.setAttribute("d", d);
    svg.append(line);
    this.replaceChildren(svg);
    return true;
  }
}

if (globalThis.customElements) customElements.define("spark-line", SparkLine);
