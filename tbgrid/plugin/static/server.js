// Requests to the server, and its answer when something is wrong.

/**
 * @typedef {{run: string, export: string | null, title?: string, photos?: number,
 *   grid?: [number, number], cell?: number, tile?: number, error: string | null, hint?: string}}
 *   Listed a run as the server lists it
 * @typedef {{runs: Listed[], searched: string}} Listing
 */

/** A request that failed; message and hint are for the user. */
export class DataError extends Error {
  /** @param {string} message @param {string} hint @param {number} status 0 without an answer */
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
    throw new DataError(
      "TensorBoard is not responding", "check that it is still running, then reload", 0);
  }
  if (!response.ok) {
    let problem = { error: `TensorBoard answered ${response.status}`, hint: "" };
    try {
      problem = { ...problem, ...(await response.json()) };
    } catch {
      // the answer of a proxy, or of TensorBoard itself: the status has to suffice
    }
    throw new DataError(problem.error, problem.hint, response.status);
  }
  return response;
}

/** The runs in the logdir now. @returns {Promise<Listing>} */
export async function listRuns() {
  return (await get(address("runs"), { cache: "no-store" })).json();
}
