import assert from "node:assert/strict";
import test from "node:test";

import * as pyramid from "../../tbgrid/plugin/static/pyramid.js";

const mosaics = [
  { rows: 2, columns: 2, cell: 64, tile: 512 },
  { rows: 1, columns: 7, cell: 8, tile: 512 },
  { rows: 32, columns: 32, cell: 64, tile: 512 },
  { rows: 75, columns: 134, cell: 64, tile: 512 },
  { rows: 317, columns: 316, cell: 16, tile: 512 },
  { rows: 1000, columns: 1000, cell: 32, tile: 512 },
];

for (const mosaic of mosaics) {
  const name = `${mosaic.rows} x ${mosaic.columns} of ${mosaic.cell} px`;
  const first = pyramid.firstLevel(mosaic);
  const last = pyramid.lastLevel(mosaic);

  test(`${name}: photos have 1 px at the first level and all pixels at the last`, () => {
    assert.equal(pyramid.photoSide(mosaic, first), 1);
    assert.equal(pyramid.photoSide(mosaic, last), mosaic.cell);
    assert.ok(2 ** last >= Math.max(mosaic.rows, mosaic.columns) * mosaic.cell);
    assert.ok(2 ** (last - 1) < Math.max(mosaic.rows, mosaic.columns) * mosaic.cell);
  });

  test(`${name}: each cell lies entirely within its tile, at a position of its own`, () => {
    for (let level = first; level <= last; level++) {
      const side = pyramid.photoSide(mosaic, level);
      const positions = new Set();
      for (let cell = 0; cell < mosaic.rows * mosaic.columns; cell += 97) {
        const corner = pyramid.cornerInTile(mosaic, level, cell);
        assert.ok(corner.x >= 0 && corner.x + side <= mosaic.tile);
        assert.ok(corner.y >= 0 && corner.y + side <= mosaic.tile);
        const tile = pyramid.tileOf(mosaic, level, cell);
        const count = pyramid.tileCount(mosaic, level);
        assert.ok(tile.column < count.columns && tile.row < count.rows);
        positions.add(`${pyramid.tileKey(tile)} ${corner.x} ${corner.y}`);
      }
      assert.equal(positions.size, Math.ceil((mosaic.rows * mosaic.columns) / 97));
    }
  });

  test(`${name}: the overview is the largest level of one tile`, () => {
    const level = Math.max(pyramid.overviewLevel(mosaic), first);
    const one = (/** @type {number} */ at) => {
      const count = pyramid.tileCount(mosaic, at);
      return count.columns * count.rows === 1;
    };
    assert.ok(one(level) || level === first);
    assert.ok(level === last || !one(level + 1));
  });
}

test("tiles of a part of the map are those that contain its cells", () => {
  const mosaic = mosaics[2];
  const level = pyramid.lastLevel(mosaic); // 8 photos across a tile
  const bounds = { left: 6.6, top: -3, right: 9, bottom: 7.4 };
  const keys = pyramid.tilesIn(mosaic, level, bounds).map(pyramid.tileKey);
  assert.deepEqual(keys.sort(), ["11/0_0", "11/1_0"]);
});

test("a level has about as many pixels as the screen", () => {
  for (const pixels of [0.1, 1, 5, 16, 23, 60, 64, 500]) {
    const mosaic = mosaics[3];
    const level = pyramid.levelFor(mosaic, pixels);
    const ratio = pyramid.photoSide(mosaic, level) / Math.min(Math.max(pixels, 1), mosaic.cell);
    assert.ok(ratio > 0.7 && ratio < 1.42, `${pixels} px: ${ratio}`);
  }
});
