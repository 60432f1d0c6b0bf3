// @ts-check
// Work that can wait for what somebody looks at.

/**
 * The next moment in which the browser has nothing else to do, at the latest after some milliseconds when they are given.
 * @param {number} [timeout]
 * @returns {Promise<void>}
 */
export function idle(timeout) {
  return new Promise((resolve) => {
    if (globalThis.requestIdleCallback) requestIdleCallback(() => resolve(), timeout ? { timeout } : {});
    else setTimeout(resolve, 200);
  });
}
