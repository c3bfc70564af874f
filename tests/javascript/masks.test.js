import assert from "node:assert/strict";
import test from "node:test";

import {
  countRows,
  emptyMask,
  intersect,
  maskToRows,
  rowsToMask,
  subtract,
  union,
} from "../../tbgrid/plugin/static/masks.js";
import { Random } from "./support.js";

/**
 * Many masks of any size, from empty over full to long runs.
 * @param {(random: Random, n: number, a: Uint8Array, b: Uint8Array) => void} check
 */
function forMasks(check) {
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed);
    const n = random.below(90);
    const density = () => random.pick([0, 0.05, 0.5, 0.95, 1]);
    check(random, n, random.mask(n, density()), random.mask(n, density()));
  }
}

test("masks are sets", () => {
  forMasks((_, n, a, b) => {
    const [inA, inB] = [a, b].map((mask) => new Set(maskToRows(mask)));
    for (let row = 0; row < n; row++) {
      assert.equal(union(a, b)[row], inA.has(row) || inB.has(row) ? 1 : 0);
      assert.equal(intersect(a, b)[row], inA.has(row) && inB.has(row) ? 1 : 0);
      assert.equal(subtract(a, b)[row], inA.has(row) && !inB.has(row) ? 1 : 0);
    }
    assert.equal(countRows(a), inA.size);
    assert.deepEqual(rowsToMask(maskToRows(a), n), a);
    assert.deepEqual(rowsToMask([...maskToRows(a)].reverse(), n), a);
  });
});

test("arguments are not changed, and results are new arrays", () => {
  const [a, b] = [Uint8Array.of(1, 0, 1), Uint8Array.of(1, 1, 0)];
  for (const result of [union(a, b), subtract(a, b), intersect(a, b), emptyMask(3)]) {
    result.fill(7);
  }
  assert.deepEqual([[...a], [...b]], [[1, 0, 1], [1, 1, 0]]);
  assert.deepEqual([...emptyMask(2)], [0, 0]);
  assert.deepEqual([...rowsToMask([0, 5, 2], 3)], [1, 0, 1]);
});
