// The Deep Zoom image of the mosaic, used as a set of texture atlases.
//
// The side of a photo at the last level is a power of two, as is that of a tile. So no tile border
// cuts a photo at any level at which a photo has at least one pixel; only these levels are used.

/**
 * @typedef {{rows: number, columns: number, cell: number, tile: number}} Mosaic `cell`: the side
 *   of a photo at the last level; `tile`: the side of a tile, both in pixels
 * @typedef {{left: number, top: number, right: number, bottom: number}} Rectangle in cells
 * @typedef {{level: number, column: number, row: number}} Tile
 */

/** The number of the last level, as Deep Zoom defines it. @param {Mosaic} mosaic */
export function lastLevel(mosaic) {
  return Math.ceil(Math.log2(Math.max(mosaic.columns, mosaic.rows) * mosaic.cell));
}

/** The first level at which a photo has a pixel of its own. @param {Mosaic} mosaic */
export function firstLevel(mosaic) {
  return lastLevel(mosaic) - Math.log2(mosaic.cell);
}

/** The side of a photo in pixels. @param {Mosaic} mosaic @param {number} level */
export function photoSide(mosaic, level) {
  return mosaic.cell / 2 ** (lastLevel(mosaic) - level);
}

/** Photos along the side of a tile. @param {Mosaic} mosaic @param {number} level */
export function photosAcross(mosaic, level) {
  return mosaic.tile / photoSide(mosaic, level);
}

/** Tiles per row and per column. @param {Mosaic} mosaic @param {number} level */
export function tileCount(mosaic, level) {
  const across = photosAcross(mosaic, level);
  return { columns: Math.ceil(mosaic.columns / across), rows: Math.ceil(mosaic.rows / across) };
}

/** The level shown first: the largest that fits into one tile. @param {Mosaic} mosaic */
export function overviewLevel(mosaic) {
  const longest = Math.max(mosaic.columns, mosaic.rows);
  const side = 2 ** Math.floor(Math.log2(mosaic.tile / longest));
  return lastLevel(mosaic) - Math.log2(mosaic.cell / Math.min(Math.max(side, 1), mosaic.cell));
}

/**
 * The level for photos drawn at `pixels` device pixels: between 0.71 and 1.41 texels per pixel.
 *
 * @param {Mosaic} mosaic @param {number} pixels
 */
export function levelFor(mosaic, pixels) {
  const wanted = lastLevel(mosaic) - Math.log2(mosaic.cell / pixels);
  const level = Math.round(Math.min(Math.max(wanted, 0), 64));
  return Math.min(Math.max(level, firstLevel(mosaic)), lastLevel(mosaic));
}

/**
 * The tiles of a level that contain cells of a rectangle, those nearest to its middle first.
 *
 * @param {Mosaic} mosaic @param {number} level @param {Rectangle} bounds
 * @returns {Tile[]}
 */
export function tilesIn(mosaic, level, bounds) {
  const across = photosAcross(mosaic, level);
  const counts = tileCount(mosaic, level);
  const toTile = (/** @type {number} */ value, /** @type {number} */ count) =>
    Math.min(Math.max(Math.floor((value + 0.5) / across), 0), count - 1);
  const [top, bottom] = [toTile(bounds.top, counts.rows), toTile(bounds.bottom, counts.rows)];
  const left = toTile(bounds.left, counts.columns);
  const right = toTile(bounds.right, counts.columns);
  /** @type {Tile[]} */
  const tiles = [];
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      tiles.push({ level, column, row });
    }
  }
  const middle = { x: (bounds.left + bounds.right) / 2, y: (bounds.top + bounds.bottom) / 2 };
  const distance = (/** @type {Tile} */ tile) =>
    Math.hypot((tile.column + 0.5) * across - middle.x, (tile.row + 0.5) * across - middle.y);
  return tiles.sort((a, b) => distance(a) - distance(b));
}

/**
 * The tile that contains a cell.
 *
 * @param {Mosaic} mosaic @param {number} level @param {number} cell
 */
export function tileOf(mosaic, level, cell) {
  const across = photosAcross(mosaic, level);
  return {
    level,
    column: Math.floor((cell % mosaic.columns) / across),
    row: Math.floor(Math.floor(cell / mosaic.columns) / across),
  };
}

/**
 * The top left corner of a cell within its tile, in pixels.
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
