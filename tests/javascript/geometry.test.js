import assert from "node:assert/strict";
import test from "node:test";

import {
  cellAt,
  cellCentre,
  cellDistance,
  ease,
  interpolateCentres,
  neighbourInDirection,
  photoAt,
  photosInRectangle,
  rectangleBetween,
} from "../../tbgrid/plugin/static/geometry.js";
import { Random, distanceTo, floats, listRows, scatter } from "./support.js";

test("a rectangle is the same whichever corner it is drawn from", () => {
  const expected = { left: 1, top: 2, right: 5, bottom: 8 };
  for (const [a, b] of [
    [[1, 2], [5, 8]],
    [[5, 8], [1, 2]],
    [[1, 8], [5, 2]],
    [[5, 2], [1, 8]],
  ]) {
    assert.deepEqual(rectangleBetween({ x: a[0], y: a[1] }, { x: b[0], y: b[1] }), expected);
  }
});

test("a rectangle selects the photos whose centres lie in it, its border included", () => {
  const centres = Float32Array.of(0, 0, 1, 1, 2, 2, 1, 3, 2, 1);
  const found = photosInRectangle(rectangleBetween({ x: 2, y: 2 }, { x: 1, y: 1 }), centres, 5);
  assert.deepEqual([...found], [0, 1, 1, 0, 1]);
  const point = photosInRectangle(rectangleBetween({ x: 1, y: 1 }, { x: 1, y: 1 }), centres, 5);
  assert.deepEqual([...point], [0, 1, 0, 0, 0]);
});

test("the photo at a point is the nearest of those whose square contains it", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    const centres = scatter(random, 60, 10);
    const [x, y, side] = [10 * random.float(), 10 * random.float(), 3 * random.float()];
    const candidates = listRows(60).filter((row) => {
      const [dx, dy] = [centres[2 * row] - x, centres[2 * row + 1] - y];
      return Math.max(Math.abs(dx), Math.abs(dy)) <= side / 2;
    });
    candidates.sort((a, b) => distanceTo(centres, a, x, y) - distanceTo(centres, b, x, y));
    assert.equal(photoAt(x, y, centres, side, 60), candidates[0] ?? -1, `seed ${seed}`);
  }
});

test("of photos at the same position the last is found, since it is drawn on top", () => {
  assert.equal(photoAt(1.2, 1, Float32Array.of(1, 1, 1, 1, 1, 1, 9, 9), 1, 4), 2);
  assert.equal(photoAt(1.5, 0.5, Float32Array.of(1, 1), 1, 1), 0);
  assert.equal(photoAt(1.51, 1, Float32Array.of(1, 1), 1, 1), -1);
  assert.equal(photoAt(1, 1.51, Float32Array.of(1, 1), 1, 1), -1);
  assert.equal(photoAt(5, 5, new Float32Array(0), 1, 0), -1);
});

test("a cell is found at its centre and around it", () => {
  for (let cell = 0; cell < 35; cell++) {
    const { x, y } = cellCentre(cell, 7);
    assert.equal(y * 7 + x, cell);
    for (const [dx, dy] of [[0, 0], [-0.5, -0.5], [0.499, 0.499], [-0.5, 0.499]]) {
      assert.equal(cellAt(x + dx, y + dy, 5, 7), cell);
    }
  }
});

test("a cell includes its left and upper border, and outside the grid there is none", () => {
  assert.equal(cellAt(-0.5, -0.5, 5, 7), 0);
  assert.equal(cellAt(0.49999999999999994, 0, 5, 7), 0);
  assert.equal(cellAt(0.5, 0, 5, 7), 1);
  for (const [x, y] of [[-0.51, 0], [0, -0.51], [6.5, 0], [0, 4.5], [NaN, 0], [Infinity, 0]]) {
    assert.equal(cellAt(x, y, 5, 7), -1, `${x}, ${y}`);
  }
});

test("the distance of two cells is that of their centres", () => {
  assert.equal(cellDistance(0, 3 + 4 * 7, 7), 5);
  assert.equal(cellDistance(9, 9, 7), 0);
  assert.equal(cellDistance(6, 7, 7), cellDistance(7, 6, 7));
});

test("photos move exactly from their layout positions to their cells", () => {
  const random = new Random(3);
  const positions = floats(2000, () => (random.float() - 0.5) * 10 ** (random.below(12) - 6));
  const cells = Uint32Array.from({ length: 1000 }, () => random.below(1200));
  assert.deepEqual(interpolateCentres(positions, cells, 40, 0), positions);
  const arrived = interpolateCentres(positions, cells, 40, 1);
  cells.forEach((cell, row) => {
    assert.deepEqual({ x: arrived[2 * row], y: arrived[2 * row + 1] }, cellCentre(cell, 40));
  });
  assert.deepEqual(interpolateCentres(positions, cells, 40, -1), positions);
  assert.deepEqual(interpolateCentres(positions, cells, 40, 7), arrived);
});

test("photos move in a straight line, eased at both ends, and into the given array", () => {
  const out = new Float32Array(2);
  assert.equal(interpolateCentres(Float32Array.of(2, 8), Uint32Array.of(12), 10, 0.5, out), out);
  assert.deepEqual([...out], [2, 4.5]);
  assert.ok(ease(0.01) < 0.001 && ease(0.99) > 0.999);
  for (let i = 0; i < 100; i++) {
    assert.ok(ease((i + 1) / 100) > ease(i / 100));
    assert.ok(Math.abs(ease(i / 100) + ease(1 - i / 100) - 1) < 1e-12);
  }
});

test("an arrow key goes to the nearest photo on that side", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    const centres = scatter(random, 50, 10);
    const row = random.below(50);
    const [x, y] = [centres[2 * row], centres[2 * row + 1]];
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1], [3, 4]]) {
      const beside = listRows(50).filter((other) => {
        const angle = Math.atan2(centres[2 * other + 1] - y, centres[2 * other] - x);
        const turn = Math.abs(angle - Math.atan2(dy, dx));
        return other !== row && Math.min(turn, 2 * Math.PI - turn) <= Math.PI / 4;
      });
      beside.sort((a, b) => distanceTo(centres, a, x, y) - distanceTo(centres, b, x, y));
      assert.equal(neighbourInDirection(row, dx, dy, centres, 50), beside[0] ?? -1);
    }
  }
});

test("on a full grid arrow keys go to adjacent cells and stop at the border", () => {
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
  const centres = scatter(random, 200, 10);
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
