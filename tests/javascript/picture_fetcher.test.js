import assert from "node:assert/strict";
import test from "node:test";

import { PictureFetcher } from "../../tbgrid/plugin/static/picture_fetcher.js";

test("requests that are no longer needed are aborted; the most needed come first", async () => {
  /** @type {Map<string, () => void>} */
  const requested = new Map();
  /** @type {string[]} */
  const loaded = [];
  /** @type {string[]} */
  const aborted = [];
  globalThis.fetch = /** @type {typeof fetch} */ ((url, options) =>
    new Promise((resolve, reject) => {
      requested.set(String(url), () => resolve(new Response("")));
      options?.signal?.addEventListener("abort", () => {
        aborted.push(String(url));
        reject(new DOMException("aborted", "AbortError"));
      });
    }));
  globalThis.createImageBitmap = /** @type {typeof createImageBitmap} */ (
    /** @type {unknown} */ (async () => ({ close() {} })));
  const fetcher = new PictureFetcher(
    (key) => loaded.push(key), (error) => assert.fail(String(error)));
  const items = Array.from("abcdefgh", (key) => ({ key, url: key }));
  fetcher.request(items);
  assert.deepEqual([...requested.keys()], [..."abcdef"]);
  fetcher.request([items[7], items[0]]);
  assert.deepEqual(aborted, [..."bcdef"]);
  assert.deepEqual([...requested.keys()], [..."abcdefh"]);
  for (const key of ["a", "h"]) {
    requested.get(key)?.();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(loaded, ["a", "h"]);
  assert.ok(fetcher.idle);
});
