// The Deep Zoom image of the mosaic, taken as a set of texture atlases.
//
// A photo's side at the last level is a power of two, as is a tile's, so that no tile border ever
// cuts a photo in a level where a photo has at least one pixel: those levels are the ones in use.

/**
 * @typedef {{rows: number, columns: number, cell: number, tile: number}} Mosaic `cell`: the side
 *   of a photo at the last level; `tile`: the side of a tile, both in pixels
 * @typedef {{left: number, top: number, right: number, bottom: number}} Rectangle in cells
 * @typedef {{level: number, column: number, row: number}} Tile
 */

/** The number of the last level, by the rule of Deep Zoom. @param {Mosaic} mosaic */
export function lastLevel(mosaic) {
  return Math.ceil(Math.log2(Math.max(mosaic.columns, mosaic.rows) * mosaic.cell));
}

/** The first level in which a photo has a pixel of its own. @param {Mosaic} mosaic */
export function firstLevel(mosaic) {
  return lastLevel(mosaic) - Math.log2(mosaic.cell);
}

/** The side of a photo in pixels. @param {Mosaic} mosaic @param {number} level */
export function photoSide(mosaic, level) {
  return mosaic.cell / 2 ** (lastLevel(mosaic) - level);
}

/** How many photos lie along the side of a tile. @param {Mosaic} mosaic @param {number} level */
export function photosAcross(mosaic, level) {
  return mosaic.tile / photoSide(mosaic, level);
}

/** Tiles per row and per column. @param {Mosaic} mosaic @param {number} level */
export function tileCount(mosaic, level) {
  const across = photosAcross(mosaic, level);
  return { columns: Math.ceil(mosaic.columns / across), rows: Math.ceil(mosaic.rows / across) };
}

/** The level that comes first on the screen: the largest that is one tile. @param {Mosaic} mosaic */
export function overviewLevel(mosaic) {
  const longest = Math.max(mosaic.columns, mosaic.rows);
  const side = 2 ** Math.floor(Math.log2(mosaic.tile / longest));
  return lastLevel(mosaic) - Math.log2(mosaic.cell / Math.min(Math.max(side, 1), mosaic.cell));
}

/**
 * The level for photos drawn at `pixels` device pixels: between 0.71 and 1.41 texels a pixel.
 *
 * @param {Mosaic} mosaic @param {number} pixels
 */
export function levelFor(mosaic, pixels) {
  const wanted = lastLevel(mosaic) - Math.log2(mosaic.cell / pixels);
  const level = Math.round(Math.min(Math.max(wanted, 0), 64));
  return Math.min(Math.max(level, firstLevel(mosaic)), lastLevel(mosaic));
}

/**
 * The tiles of a level that hold cells of a rectangle, those in its middle first.
 *
 * @param {Mosaic} mosaic @param {number} level @param {Rectangle} seen
 * @returns {Tile[]}
 */
export function tilesIn(mosaic, level, seen) {
  const across = photosAcross(mosaic, level);
  const count = tileCount(mosaic, level);
  const bound = (/** @type {number} */ value, /** @type {number} */ most) =>
    Math.min(Math.max(Math.floor((value + 0.5) / across), 0), most - 1);
  /** @type {Tile[]} */
  const tiles = [];
  for (let row = bound(seen.top, count.rows); row <= bound(seen.bottom, count.rows); row++) {
    for (
      let column = bound(seen.left, count.columns);
      column <= bound(seen.right, count.columns);
      column++
    ) {
      tiles.push({ level, column, row });
    }
  }
  const middle = { x: (seen.left + seen.right) / 2, y: (seen.top + seen.bottom) / 2 };
  const away = (/** @type {Tile} */ tile) =>
    Math.hypot((tile.column + 0.5) * across - middle.x, (tile.row + 0.5) * across - middle.y);
  return tiles.sort((a, b) => away(a) - away(b));
}

/** The tile that holds a cell. @param {Mosaic} mosaic @param {number} level @param {number} cell */
export function tileOf(mosaic, level, cell) {
  const across = photosAcross(mosaic, level);
  return {
    level,
    column: Math.floor((cell % mosaic.columns) / across),
    row: Math.floor(Math.floor(cell / mosaic.columns) / across),
  };
}

/**
 * Where a cell lies within its tile, in pixels.
 *
 * @param {Mosaic} mosaic @param {number} level @param {number} cell
 */
export function cornerInTile(mosaic, level, cell) {
  const across = photosAcross(mosaic, level);
  const side = photoSide(mosaic, level);
  return {
    x: ((cell % mosaic.columns) % across) * side,
    y: (Math.floor(cell / mosaic.columns) % across) * side,
  };
}

/** @param {Tile} tile */
export function tileKey(tile) {
  return `${tile.level}/${tile.column}_${tile.row}`;
}
