import assert from "node:assert/strict";
import test from "node:test";

import { toScreen } from "../../tbgrid/plugin/static/viewport.js";
import { findPhotosInCells, findVisiblePhotos }
  from "../../tbgrid/plugin/static/visible_photos.js";
import { Random, listRows, scatter } from "./support.js";

const SIZE = { width: 300, height: 200 };

test("the photos on the screen are found, those that the filter leaves out first", () => {
  for (let seed = 0; seed < 40; seed++) {
    const random = new Random(seed);
    const [x, y, scale] = [10 * random.float(), 10 * random.float(), 20 + 80 * random.float()];
    const view = { x, y, scale };
    const centres = scatter(random, 300, 10);
    const passes = random.mask(300, 0.5);
    const side = 0.2 + random.float();
    const rows = findVisiblePhotos(
      { view, size: SIZE, side, centres }, passes, new Uint32Array(300));
    const half = (side * view.scale) / 2;
    const expected = listRows(300).filter((row) => {
      const at = toScreen(view, SIZE, { x: centres[2 * row], y: centres[2 * row + 1] });
      return at.x > -half && at.x < SIZE.width + half && at.y > -half && at.y < SIZE.height + half;
    });
    assert.deepEqual([...rows].sort((a, b) => a - b), expected, `seed ${seed}`);
    const order = [...rows].map((row) => passes[row]);
    assert.deepEqual(order, [...order].sort(), "those that pass are drawn on top");
  }
});

test("the photos in the cells that a rectangle touches are found, without empty cells", () => {
  const run = { rows: 3, columnsAcross: 3, occupant: Int32Array.of(4, -1, 2, 0, 1, -1, 3, 5, 6) };
  const inside = (/** @type {number[]} */ [left, top, right, bottom]) =>
    [...findPhotosInCells(run, { left, top, right, bottom })];
  assert.deepEqual(inside([0.6, 0.6, 1.4, 1.4]), [1]);
  assert.deepEqual(inside([0.4, 0, 2, 1]), [4, 2, 0, 1]);
  assert.deepEqual(inside([-9, -9, 9, 9]), [4, 2, 0, 1, 3, 5, 6]);
  assert.deepEqual(inside([3, 3, 9, 9]), []);
});
