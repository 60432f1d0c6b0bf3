// @ts-check
// Which runs are ticked stands in the address (`ticked=12,14`), so that it outlives a reload and another page of the table,
// and can be given to somebody: the address, the links and the forms of the page say it after each tick.

export const MOST = 200; // as studio/runs/table/select.py reads

/**
 * The query with these numbers ticked and all else as it was.
 * @param {string} query with or without its question mark
 * @param {number[]} numbers
 */
export function withTicked(query, numbers) {
  const rest = query.replace(/^\?/, "").split("&").filter((part) => part && !part.startsWith("ticked="));
  return [...rest, ...(numbers.length ? [`ticked=${numbers.join(",")}`] : [])].join("&");
}

/** @param {number[]} numbers */
export function keepTicked(numbers) {
  const query = withTicked(location.search, numbers);
  const search = query ? `?${query}` : "";
  if (search !== location.search) history.replaceState(history.state, "", location.pathname + search + location.hash);
  for (const link of document.querySelectorAll('#main a[href^="?"]:not([data-untick])')) {
    link.setAttribute("href", `?${withTicked(link.getAttribute("href") ?? "", numbers)}`);
  }
}

/** A form of the table goes on with what is ticked when it is sent, not when the page was made. @param {Event} event */
export function sendTicked(event) {
  const form = /** @type {HTMLFormElement} */ (event.target);
  const back = /** @type {HTMLInputElement | null} */ (form.querySelector("input[type=hidden][name=back]"));
  if (back) back.value = location.search.slice(1);
  if (form.method !== "get" || form.hasAttribute("action")) return;
  form.querySelector("input[name=ticked]")?.remove();
  const ticked = new URLSearchParams(location.search).get("ticked");
  if (ticked) form.append(Object.assign(document.createElement("input"), { type: "hidden", name: "ticked", value: ticked }));
}
