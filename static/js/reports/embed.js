// @ts-check
// Tells the page around an embedded one how high its content is, so that its frame needs no scroll bar of its own. Only
// the sites that the link names hear of it: a message to another one is dropped by the browser.

/** The height in CSS pixels that all of the content needs: that of the body, which has no height of its own.
 * @param {{getBoundingClientRect(): {height: number}}} body */
export function neededHeight(body) {
  return Math.ceil(body.getBoundingClientRect().height);
}

/** Sends `{studioHeight}` to each of the origins; true when there was a new height.
 * @param {{postMessage(data: unknown, origin: string): void}} parent
 * @param {string[]} origins
 * @param {number} height
 * @param {number} before */
export function tell(parent, origins, height, before) {
  if (height === before || height <= 0) return false;
  for (const origin of origins) parent.postMessage({ studioHeight: height }, origin);
  return true;
}

function start() {
  const main = /** @type {HTMLElement | null} */ (document.querySelector("[data-embedded-on]"));
  const origins = (main?.dataset.embeddedOn ?? "").split(" ").filter(Boolean);
  let before = 0;
  const look = () => {
    const height = neededHeight(document.body);
    if (tell(window.parent, origins, height, before)) before = height;
  };
  new ResizeObserver(look).observe(document.body);
  look();
}

if (globalThis.document && window.parent !== window) start();
