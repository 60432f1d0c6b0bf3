// @ts-check
// Sends a file in chunks, each with its offset and digest, and goes on where it stopped after a cut connection or reload.

/**
 * @typedef {{id: string, url: string, received: number, size: number, finished: boolean, chunk: number}} UploadState
 * @typedef {{name: string, size: number, lastModified: number, slice: (from: number, to: number) => {arrayBuffer: () => Promise<ArrayBuffer>}}} Sendable
 * @typedef {{
 *   createUrl: string, token: string, signal?: AbortSignal, onProgress?: (received: number) => void,
 *   onWait?: (seconds: number) => void, fetch?: typeof fetch, memory?: Pick<Storage, "getItem" | "setItem" | "removeItem">,
 *   wait?: (seconds: number) => Promise<void>
 * }} Options
 */

// Of refusals that say where to go on; and of silence, about five minutes, which a studio may take to start again.
export const MAX_TRIES = 8;
export const MAX_UNANSWERED = 36;

export class UploadError extends Error {}

/**
 * Resolves with the id of the finished upload; throws UploadError with the studio's words, or AbortError.
 * @param {Sendable} file @param {Options} options @returns {Promise<string>}
 */
export async function sendFile(file, options) {
  const ask = options.fetch ?? fetch.bind(globalThis);
  const wait = options.wait ?? ((seconds) => new Promise((done) => setTimeout(done, 1000 * seconds)));
  const key = keyOf(file, options.createUrl);
  let state = (await remembered(ask, options, key)) ?? (await begin(ask, file, options));
  remember(options, key, state.url);
  options.onProgress?.(state.received);
  let failures = 0;
  let next = chunkOf(file, state);
  while (!state.finished) {
    if (next.from !== state.received) next = chunkOf(file, state);
    const sent = sendChunk(ask, await next.read, state, options);
    next = chunkOf(file, { ...state, received: state.received + state.chunk }); // read while this one travels
    const answer = await sent;
    if (answer.ok) {
      state = await answer.json();
      failures = 0;
      options.onProgress?.(state.received);
      continue;
    }
    failures += 1;
    const { text, received, again } = await refusal(answer);
    if (!again || failures >= (typeof received === "number" ? MAX_TRIES : MAX_UNANSWERED)) throw new UploadError(text);
    if (typeof received === "number") {
      state = { ...state, received };
    } else {
      const seconds = Math.min(0.5 * 2 ** (failures - 1), 10);
      options.onWait?.(seconds);
      await wait(seconds);
      state = (await current(ask, state.url, options)) ?? state;
    }
  }
  options.memory?.removeItem(key);
  return state.id;
}

/** Forget and remove what has arrived. @param {Sendable} file @param {Options} options */
export async function cancelFile(file, options) {
  const ask = options.fetch ?? fetch.bind(globalThis);
  const key = keyOf(file, options.createUrl);
  const url = options.memory?.getItem(key);
  options.memory?.removeItem(key);
  if (url) await ask(url, { method: "DELETE", headers: { "X-CSRFToken": options.token } }).catch(() => undefined);
}

/** @param {Sendable} file @param {string} createUrl */
function keyOf(file, createUrl) {
  return `upload:${createUrl}:${file.name}:${file.size}:${file.lastModified}`;
}

/** @param {typeof fetch} ask @param {Options} options @param {string} key @returns {Promise<UploadState | null>} */
async function remembered(ask, options, key) {
  const url = options.memory?.getItem(key);
  return url ? current(ask, url, options) : null;
}

/** @param {Options} options @param {string} key @param {string} url */
function remember(options, key, url) {
  try {
    options.memory?.setItem(key, url);
  } catch {
    // A full or forbidden storage only costs the resume after a reload.
  }
}

/** What has arrived; null if it is not known there. @param {typeof fetch} ask @param {string} url @param {Options} options @returns {Promise<UploadState | null>} */
async function current(ask, url, options) {
  try {
    const answer = await ask(url, { signal: options.signal, headers: { Accept: "application/json" } });
    return answer.ok ? await answer.json() : null;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return null;
  }
}

/** @param {typeof fetch} ask @param {Sendable} file @param {Options} options @returns {Promise<UploadState>} */
async function begin(ask, file, options) {
  const body = new URLSearchParams({ filename: file.name, size_bytes: String(file.size) });
  const answer = await ask(options.createUrl, {
    method: "POST",
    body,
    headers: { "X-CSRFToken": options.token },
    signal: options.signal,
  });
  if (!answer.ok) throw new UploadError((await refusal(answer)).text);
  return answer.json();
}

/**
 * Bytes and digest of the chunk that begins at `received`, being read.
 * @param {Sendable} file @param {UploadState} state
 * @returns {{from: number, read: Promise<{bytes: ArrayBuffer, digest: string}>}}
 */
function chunkOf(file, { received, chunk }) {
  const read = readChunk(file, received, Math.min(received + chunk, file.size));
  read.catch(() => undefined); // told when its turn comes
  return { from: received, read };
}

/** @param {Sendable} file @param {number} from @param {number} to */
async function readChunk(file, from, to) {
  const bytes = await file.slice(from, Math.max(from, to)).arrayBuffer();
  if (!globalThis.crypto?.subtle) return { bytes, digest: "" };
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return { bytes, digest: `sha-256=:${btoa(String.fromCharCode(...digest))}:` };
}

/**
 * An answer also when there was none.
 * @param {typeof fetch} ask @param {{bytes: ArrayBuffer, digest: string}} part @param {UploadState} state
 * @param {Options} options @returns {Promise<Response>}
 */
async function sendChunk(ask, { bytes, digest }, state, options) {
  /** @type {Record<string, string>} */
  const headers = {
    "X-CSRFToken": options.token,
    "Upload-Offset": String(state.received),
    "Content-Type": "application/octet-stream",
  };
  if (digest) headers["Content-Digest"] = digest;
  try {
    return await ask(state.url, { method: "PUT", body: bytes, headers, signal: options.signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return new Response(null, { status: 599 });
  }
}

/** @param {Response} answer @returns {Promise<{text: string, received?: number, again: boolean}>} */
async function refusal(answer) {
  const body = await answer.json().catch(() => ({}));
  const text = body.error?.message ?? "The studio did not answer. Your file is kept: try again to go on where it stopped.";
  const again = answer.status >= 500 ? answer.status !== 507 : [408, 409, 422, 429].includes(answer.status);
  return { text, received: body.received ?? undefined, again };
}
