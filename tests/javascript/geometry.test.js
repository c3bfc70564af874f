import assert from "node:assert/strict";
import test from "node:test";

import {
  between,
  cellAt,
  cellCentre,
  cellDistance,
  eased,
  inLasso,
  inRectangle,
  neighbourInDirection,
  photoAt,
  rectangle,
  spacing,
} from "../../tbgrid/plugin/static/geometry.js";
import { Random, floats } from "./support.js";

/**
 * @param {Random} random
 * @param {number} n
 * @param {number} extent
 */
const scattered = (random, n, extent) => floats(2 * n, () => random.share() * extent);

/** @param {number} n */
const rowsOf = (n) => Array.from({ length: n }, (_, row) => row);

/**
 * @param {Float32Array} centres
 * @param {number} row
 * @param {number} x
 * @param {number} y
 */
const distanceTo = (centres, row, x, y) =>
  Math.hypot(centres[2 * row] - x, centres[2 * row + 1] - y);

test("a rectangle is the same from whichever corner it is drawn", () => {
  const expected = { left: 1, top: 2, right: 5, bottom: 8 };
  for (const [a, b] of [
    [[1, 2], [5, 8]],
    [[5, 8], [1, 2]],
    [[1, 8], [5, 2]],
    [[5, 2], [1, 8]],
  ]) {
    assert.deepEqual(rectangle({ x: a[0], y: a[1] }, { x: b[0], y: b[1] }), expected);
  }
});

test("a rectangle holds the photos whose centres lie in it, its border included", () => {
  const centres = Float32Array.of(0, 0, 1, 1, 2, 2, 1, 3, 2, 1);
  const found = inRectangle(rectangle({ x: 2, y: 2 }, { x: 1, y: 1 }), centres, 5);
  assert.deepEqual([...found], [0, 1, 1, 0, 1]);
  const point = inRectangle(rectangle({ x: 1, y: 1 }, { x: 1, y: 1 }), centres, 5);
  assert.deepEqual([...point], [0, 1, 0, 0, 0]);
});

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

test("a lasso holds what a ray in another direction says, also where it crosses itself", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new Random(seed);
    const centres = scattered(random, 300, 10);
    const corners = { length: 3 + random.below(seed < 50 ? 12 : 400) };
    const polygon = Array.from(corners, () => [12 * random.share() - 1, 12 * random.share() - 1]);
    const expected = rowsOf(300).map((row) =>
      isInsideByBruteForce(polygon, centres[2 * row], centres[2 * row + 1]),
    );
    assert.deepEqual([...inLasso(polygon, centres, 300)], expected, `seed ${seed}`);
    assert.deepEqual([...inLasso(Float64Array.from(polygon.flat()), centres, 300)], expected);
  }
});

test("adjacent lassos share no photo and lose none, even with centres on their border", () => {
  const centres = floats(2 * 81, (i) => (i % 2 ? Math.floor(i / 18) : (i / 2) % 9));
  const left = inLasso([[-1, -1], [4, -1], [4, 9], [-1, 9]], centres, 81);
  const right = inLasso([[4, -1], [9, -1], [9, 9], [4, 9]], centres, 81);
  assert.ok(left.every((bit, row) => bit + right[row] === 1));
});

test("a lasso without an inside holds nothing", () => {
  const centres = floats(200, (i) => i >> 1);
  const whole = [[-1, -1], [200, -1], [200, 200], [-1, 200]];
  assert.equal(inLasso(whole, centres, 100).indexOf(0), -1);
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
    assert.equal(inLasso(polygon, centres, 100).indexOf(1), -1, JSON.stringify(polygon));
  }
  assert.equal(inLasso([0, 0, 9, 0, 9], centres, 100).indexOf(1), -1);
});

test("the photo at a point is the nearest of those whose square holds it", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    const centres = scattered(random, 60, 10);
    const [x, y, side] = [10 * random.share(), 10 * random.share(), 3 * random.share()];
    const holding = rowsOf(60).filter((row) => {
      const [dx, dy] = [centres[2 * row] - x, centres[2 * row + 1] - y];
      return Math.max(Math.abs(dx), Math.abs(dy)) <= side / 2;
    });
    holding.sort((a, b) => distanceTo(centres, a, x, y) - distanceTo(centres, b, x, y));
    assert.equal(photoAt(x, y, centres, side, 60), holding[0] ?? -1, `seed ${seed}`);
  }
});

test("of photos at one place the last is found, as it is drawn on top", () => {
  assert.equal(photoAt(1.2, 1, Float32Array.of(1, 1, 1, 1, 1, 1, 9, 9), 1, 4), 2);
  assert.equal(photoAt(1.5, 0.5, Float32Array.of(1, 1), 1, 1), 0);
  assert.equal(photoAt(1.51, 1, Float32Array.of(1, 1), 1, 1), -1);
  assert.equal(photoAt(1, 1.51, Float32Array.of(1, 1), 1, 1), -1);
  assert.equal(photoAt(5, 5, new Float32Array(0), 1, 0), -1);
});

test("cells and their centres belong together", () => {
  for (let cell = 0; cell < 35; cell++) {
    const { x, y } = cellCentre(cell, 7);
    assert.equal(y * 7 + x, cell);
    for (const [dx, dy] of [[0, 0], [-0.5, -0.5], [0.499, 0.499], [-0.5, 0.499]]) {
      assert.equal(cellAt(x + dx, y + dy, 5, 7), cell);
    }
  }
});

test("a cell holds its left and upper border, and outside there is none", () => {
  assert.equal(cellAt(-0.5, -0.5, 5, 7), 0);
  assert.equal(cellAt(0.49999999999999994, 0, 5, 7), 0);
  assert.equal(cellAt(0.5, 0, 5, 7), 1);
  for (const [x, y] of [[-0.51, 0], [0, -0.51], [6.5, 0], [0, 4.5], [NaN, 0], [Infinity, 0]]) {
    assert.equal(cellAt(x, y, 5, 7), -1, `${x}, ${y}`);
  }
});

test("the distance of cells is that of their centres", () => {
  assert.equal(cellDistance(0, 3 + 4 * 7, 7), 5);
  assert.equal(cellDistance(9, 9, 7), 0);
  assert.equal(cellDistance(6, 7, 7), cellDistance(7, 6, 7));
});

test("the way from place to cell begins at the one and ends at the other, exactly", () => {
  const random = new Random(3);
  const places = floats(2000, () => (random.share() - 0.5) * 10 ** (random.below(12) - 6));
  const cells = Uint32Array.from({ length: 1000 }, () => random.below(1200));
  assert.deepEqual(between(places, cells, 40, 0), places);
  const arrived = between(places, cells, 40, 1);
  cells.forEach((cell, row) => {
    assert.deepEqual({ x: arrived[2 * row], y: arrived[2 * row + 1] }, cellCentre(cell, 40));
  });
  assert.deepEqual(between(places, cells, 40, -1), places);
  assert.deepEqual(between(places, cells, 40, 7), arrived);
});

test("the way is straight, eased at both ends, and written where asked", () => {
  const out = new Float32Array(2);
  assert.equal(between(Float32Array.of(2, 8), Uint32Array.of(12), 10, 0.5, out), out);
  assert.deepEqual([...out], [2, 4.5]);
  assert.ok(eased(0.01) < 0.001 && eased(0.99) > 0.999);
  for (let i = 0; i < 100; i++) {
    assert.ok(eased((i + 1) / 100) > eased(i / 100));
    assert.ok(Math.abs(eased(i / 100) + eased(1 - i / 100) - 1) < 1e-12);
  }
});

test("spacing is the median of the distances to the nearest other place", () => {
  for (let seed = 0; seed < 30; seed++) {
    const random = new Random(seed);
    const n = 2 + random.below(300);
    const lumps = 1 + random.below(5);
    const places = floats(2 * n, (i) => 100 * ((i >> 1) % lumps) + random.share() * 10);
    const distances = rowsOf(n).map((row) =>
      Math.min(
        ...rowsOf(n)
          .map((other) => distanceTo(places, other, places[2 * row], places[2 * row + 1]))
          .filter((distance) => distance > 0),
      ),
    );
    const median = distances.sort((a, b) => a - b)[n >> 1];
    assert.ok(Math.abs(spacing(places, n) - median) < 1e-9 * median, `seed ${seed}`);
  }
});

test("spacing is above zero whatever the places", () => {
  assert.equal(spacing(new Float32Array(0), 0), 1);
  assert.equal(spacing(Float32Array.of(3, 3), 1), 1);
  assert.equal(spacing(floats(2000, () => 5), 1000), 1);
  assert.equal(spacing(floats(2000, (i) => (i % 2 ? 0 : i / 2)), 1000), 1); // on a line
  assert.equal(spacing(Float32Array.of(0, 0, 0, 0, 0, 0, 3, 4), 4), 5); // three at one place
  const outlier = floats(2000, (i) => (i < 2 ? 1e30 : Math.floor(i / 2) % (i % 2 ? 32 : 31)));
  assert.equal(spacing(outlier, 1000), 1);
  assert.equal(spacing(floats(4, (i) => (i < 2 ? -3e38 : 3e38)), 2) > 0, true);
});

test("spacing of many places is near that of all of them", () => {
  const random = new Random(9);
  const places = scattered(random, 50_000, Math.sqrt(50_000));
  // The median distance to the nearest of scattered places of density 1 is sqrt(ln 2 / pi).
  assert.ok(Math.abs(spacing(places, 50_000) - Math.sqrt(Math.LN2 / Math.PI)) < 0.06);
});

test("an arrow key goes to the nearest photo of that side", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    const centres = scattered(random, 50, 10);
    const row = random.below(50);
    const [x, y] = [centres[2 * row], centres[2 * row + 1]];
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1], [3, 4]]) {
      const beside = rowsOf(50).filter((other) => {
        const angle = Math.atan2(centres[2 * other + 1] - y, centres[2 * other] - x);
        const turn = Math.abs(angle - Math.atan2(dy, dx));
        return other !== row && Math.min(turn, 2 * Math.PI - turn) <= Math.PI / 4;
      });
      beside.sort((a, b) => distanceTo(centres, a, x, y) - distanceTo(centres, b, x, y));
      assert.equal(neighbourInDirection(row, dx, dy, centres, 50), beside[0] ?? -1);
    }
  }
});

test("on a full grid arrow keys go to the adjacent cells and stop at the border", () => {
  const centres = floats(2 * 12, (i) => (i % 2 ? Math.floor(i / 8) : (i / 2) % 4));
  const around = (/** @type {number} */ row) =>
    [[1, 0], [-1, 0], [0, 1], [0, -1]].map(([dx, dy]) =>
      neighbourInDirection(row, dx, dy, centres, 12),
    );
  assert.deepEqual(around(5), [6, 4, 9, 1]);
  assert.deepEqual(around(0), [1, -1, 4, -1]);
  assert.equal(neighbourInDirection(0, 1, 0, Float32Array.of(0, 0, 1, 1), 2), 1); // 45 degrees
  assert.equal(neighbourInDirection(0, 1, 0, Float32Array.of(0, 0, 1, 1.01), 2), -1);
});

test("scattered photos can all be reached by arrow keys", () => {
  const random = new Random(5);
  const centres = scattered(random, 200, 10);
  const reached = new Set([0]);
  for (const row of reached) {
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      const next = neighbourInDirection(row, dx, dy, centres, 200);
      if (next >= 0) {
        reached.add(next);
      }
    }
  }
  assert.equal(reached.size, 200);
});
