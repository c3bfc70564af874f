import assert from "node:assert/strict";
import test from "node:test";

import { photosInLasso } from "../../tbgrid/plugin/static/lasso.js";
import { Random, floats, listRows, scatter } from "./support.js";

/**
 * The even-odd rule by a ray downwards instead of to the right.
 * @param {number[][]} polygon
 * @param {number} x
 * @param {number} y
 */
function isInsideByBruteForce(polygon, x, y) {
  let crossings = 0;
  polygon.forEach(([ax, ay], i) => {
    const [bx, by] = polygon[(i + 1) % polygon.length];
    if (ax > x !== bx > x && ay + ((x - ax) / (bx - ax)) * (by - ay) > y) {
      crossings++;
    }
  });
  return crossings % 2;
}

test("a lasso agrees with a ray in another direction, also where it crosses itself", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new Random(seed);
    const centres = scatter(random, 300, 10);
    const corners = { length: 3 + random.below(seed < 50 ? 12 : 400) };
    const polygon = Array.from(corners, () => [12 * random.float() - 1, 12 * random.float() - 1]);
    const expected = listRows(300).map((row) =>
      isInsideByBruteForce(polygon, centres[2 * row], centres[2 * row + 1]),
    );
    assert.deepEqual([...photosInLasso(polygon, centres, 300)], expected, `seed ${seed}`);
    assert.deepEqual([...photosInLasso(Float64Array.from(polygon.flat()), centres, 300)], expected);
  }
});

test("adjacent lassos share no photo and miss none, even with centres on their border", () => {
  const centres = floats(2 * 81, (i) => (i % 2 ? Math.floor(i / 18) : (i / 2) % 9));
  const left = photosInLasso([[-1, -1], [4, -1], [4, 9], [-1, 9]], centres, 81);
  const right = photosInLasso([[4, -1], [9, -1], [9, 9], [4, 9]], centres, 81);
  assert.ok(left.every((bit, row) => bit + right[row] === 1));
});

test("a lasso without an inside selects nothing", () => {
  const centres = floats(200, (i) => i >> 1);
  const whole = [[-1, -1], [200, -1], [200, 200], [-1, 200]];
  assert.equal(photosInLasso(whole, centres, 100).indexOf(0), -1);
  for (const polygon of [
    [],
    [[1, 1]],
    [[0, 0], [50, 50]],
    [[5, 5], [5, 5], [5, 5]],
    [[0, 0], [99, 99], [33, 33]],
    [[0, 0], [7, 7], [0.1, 0.1], [99, 99], [0.3, 0.3]],
    [[0, 5], [9, 5], [4, 5]],
    [[5, 0], [5, 9], [5, 4]],
    [[0, 0], [NaN, 9], [9, 0]],
    [[0, 0], [Infinity, 9], [9, 0]],
    // There and back the same way.
    [[0, 1], [60, 63], [99, 98], [60, 63]],
  ]) {
    assert.equal(photosInLasso(polygon, centres, 100).indexOf(1), -1, JSON.stringify(polygon));
  }
  assert.equal(photosInLasso([0, 0, 9, 0, 9], centres, 100).indexOf(1), -1);
});
