import assert from "node:assert/strict";
import test from "node:test";

import { Fetcher, Slots } from "../../tbgrid/plugin/static/fetcher.js";

test("the slot not used for longest is given away, and no pinned one", () => {
  const slots = new Slots(3);
  const pinned = slots.take("overview", true);
  const [a, b] = [slots.take("a"), slots.take("b")];
  assert.equal(new Set([pinned, a, b]).size, 3);
  assert.equal(slots.use("a"), a);
  assert.equal(slots.take("c"), b);
  assert.equal(slots.use("b"), -1);
  assert.equal(slots.take("d"), a);
  assert.equal(slots.use("overview"), pinned);
  assert.equal(slots.take("c"), b); // it has one already
});

test("without a slot to give away there is none", () => {
  const slots = new Slots(1);
  slots.take("overview", true);
  assert.equal(slots.take("a"), -1);
});

test("what is no longer wanted is not waited for; the most wanted comes first", async () => {
  /** @type {Map<string, () => void>} */
  const asked = new Map();
  /** @type {string[]} */
  const arrived = [];
  /** @type {string[]} */
  const aborted = [];
  globalThis.fetch = /** @type {typeof fetch} */ ((url, options) =>
    new Promise((resolve, reject) => {
      asked.set(String(url), () => resolve(new Response("")));
      options?.signal?.addEventListener("abort", () => {
        aborted.push(String(url));
        reject(new DOMException("aborted", "AbortError"));
      });
    }));
  globalThis.createImageBitmap = /** @type {typeof createImageBitmap} */ (
    /** @type {unknown} */ (async () => ({ close() {} })));
  const fetcher = new Fetcher((key) => arrived.push(key), (error) => assert.fail(String(error)));
  const items = Array.from("abcdefgh", (key) => ({ key, url: key }));
  fetcher.want(items);
  assert.deepEqual([...asked.keys()], [..."abcdef"]);
  fetcher.want([items[7], items[0]]);
  assert.deepEqual(aborted, [..."bcdef"]);
  assert.deepEqual([...asked.keys()], [..."abcdefh"]);
  for (const key of ["a", "h"]) {
    asked.get(key)?.();
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(arrived, ["a", "h"]);
  assert.ok(fetcher.idle);
});
