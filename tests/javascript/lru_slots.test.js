import assert from "node:assert/strict";
import test from "node:test";

import { LruSlots } from "../../tbgrid/plugin/static/lru_slots.js";

test("the least recently used slot is given away, but never a pinned one", () => {
  const slots = new LruSlots(3);
  const pinned = slots.allocate("overview", true);
  const [a, b] = [slots.allocate("a"), slots.allocate("b")];
  assert.equal(new Set([pinned, a, b]).size, 3);
  assert.equal(slots.touch("a"), a);
  assert.equal(slots.allocate("c"), b);
  assert.equal(slots.touch("b"), -1);
  assert.equal(slots.allocate("d"), a);
  assert.equal(slots.touch("overview"), pinned);
  assert.equal(slots.allocate("c"), b); // it already has one
});

test("there is no slot if all are pinned", () => {
  const slots = new LruSlots(1);
  slots.allocate("overview", true);
  assert.equal(slots.allocate("a"), -1);
});

test("only a use keeps a slot, looking it up does not", () => {
  const slots = new LruSlots(2);
  const first = slots.allocate("a");
  slots.allocate("b");
  assert.equal(slots.peek("a"), first);
  assert.equal(slots.allocate("c"), first);
  assert.equal(slots.peek("a"), -1);
});

test("after a clear all slots are free again", () => {
  const slots = new LruSlots(2);
  slots.allocate("a", true);
  slots.allocate("b", true);
  slots.clear();
  assert.equal(slots.peek("a"), -1);
  assert.deepEqual([slots.allocate("c"), slots.allocate("d")].sort(), [0, 1]);
});
