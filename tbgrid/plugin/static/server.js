// Questions to the server, and its answers when something is wrong.

/**
 * @typedef {{run: string, export: string | null, title?: string, photos?: number,
 *   grid?: [number, number], cell?: number, tile?: number, error: string | null, hint?: string}}
 *   Listed a run as the server lists it
 * @typedef {{runs: Listed[], searched: string}} Listing
 */

/** A request that failed, in words for the user. */
export class DataError extends Error {
  /** @param {string} message @param {string} hint @param {number} status 0 for no answer */
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

const ROOT = new URL("../", import.meta.url); // of the plugin's routes, wherever TensorBoard is

/**
 * @param {string} route
 * @param {Record<string, string | number>} query
 */
export function address(route, query = {}) {
  const url = new URL(route, ROOT);
  for (const [name, value] of Object.entries(query)) {
    url.searchParams.set(name, String(value));
  }
  return url.href;
}

/** @param {string} url @param {RequestInit} [options] */
export async function get(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") {
      throw error;
    }
    throw new DataError("TensorBoard does not answer", "is it still running? then reload", 0);
  }
  if (!response.ok) {
    let found = { error: `TensorBoard answered ${response.status}`, hint: "" };
    try {
      found = { ...found, ...(await response.json()) };
    } catch {
      // an answer of a proxy or of TensorBoard itself: the status has to do
    }
    throw new DataError(found.error, found.hint, response.status);
  }
  return response;
}

/** The runs of the logdir, looked up anew. @returns {Promise<Listing>} */
export async function listRuns() {
  return (await get(address("runs"), { cache: "no-store" })).json();
}
