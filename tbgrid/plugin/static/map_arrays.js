// The arrays of a map, decoded and checked. Row i is the same photo in all of them.

import { FormatError, float32, requireBelow, requireEach, uint32 } from "./buffers.js";

/** Cells of a grid for which memory is allocated: 200 MB; a larger grid is an error. */
const MAX_CELLS = 50_000_000;

/**
 * The photos' layout positions as x0, y0, x1, y1, ... in cells.
 * @param {ArrayBuffer} buffer float32[n, 2]
 * @param {number} n
 */
export function decodePositions(buffer, n) {
  const positions = float32("positions", buffer, 2 * n);
  requireEach("positions", positions, Number.isFinite, "a finite number");
  return positions;
}

/**
 * The cell of each photo, and the photo in each cell, -1 for an empty one.
 * @param {ArrayBuffer} buffer uint32[n]
 * @param {number} n
 * @param {number} rows
 * @param {number} columns
 */
export function decodeCells(buffer, n, rows, columns) {
  const count = rows * columns;
  if (!(count >= n && count <= MAX_CELLS)) {
    throw new FormatError(
      `grid: found ${rows} x ${columns} cells for ${n} photos, ` +
        `expected at least one for each and at most ${MAX_CELLS}`,
    );
  }
  const cells = uint32("cells", buffer, n);
  requireBelow("cells", cells, count);
  const occupant = new Int32Array(count).fill(-1);
  for (let row = 0; row < n; row++) {
    const other = occupant[cells[row]];
    if (other >= 0) {
      throw new FormatError(`cells: photos ${other} and ${row} are both in cell ${cells[row]}`);
    }
    occupant[cells[row]] = row;
  }
  return { cells, occupant };
}

/**
 * The k nearest photos of each photo, nearest first, and their distances.
 * @param {ArrayBuffer} neighbourBuffer uint32[n, k]
 * @param {ArrayBuffer} distanceBuffer float32[n, k]
 * @param {number} n
 * @param {number} k
 */
export function decodeNeighbours(neighbourBuffer, distanceBuffer, n, k) {
  const rows = uint32("neighbours", neighbourBuffer, n * k);
  const distances = float32("distances of neighbours", distanceBuffer, n * k);
  requireBelow("neighbours", rows, n);
  requireEach("distances of neighbours", distances, Number.isFinite, "a finite number");
  return { rows, distances };
}

/**
 * How well each photo fits in with its neighbours on the grid; NaN without any.
 * @param {ArrayBuffer} buffer float32[n]
 * @param {number} n
 */
export function decodeHarmony(buffer, n) {
  const harmony = float32("harmony", buffer, n);
  requireEach("harmony", harmony, (number) => Math.abs(number) !== Infinity, "a finite number");
  return harmony;
}
