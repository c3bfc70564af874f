// Which photos are on the screen.

import { visibleBounds } from "./viewport.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./geometry.js").Rectangle} Rectangle
 * @typedef {import("./renderer.js").Frame} Frame
 */

/**
 * The rows of the photos on the screen, wherever they are on their way to the grid: first those
 * that the filter leaves out, then those that pass it and so are drawn on top.
 *
 * @param {Pick<Frame, "view" | "size" | "side" | "centres">} frame @param {Uint8Array} passes
 * @param {Uint32Array} out of one number per photo, which the result is a part of: so that a frame
 *   allocates nothing
 */
export function findVisiblePhotos(frame, passes, out) {
  const bounds = visibleBounds(frame.view, frame.size);
  const half = frame.side / 2;
  const { centres } = frame;
  const count = out.length;
  let [first, last] = [0, count]; // from the front: left out; from the end: those that pass
  for (let row = count - 1; row >= 0; row--) {
    const x = centres[2 * row];
    const y = centres[2 * row + 1];
    if (
      x > bounds.left - half && x < bounds.right + half &&
      y > bounds.top - half && y < bounds.bottom + half
    ) {
      out[passes[row] ? --last : first++] = row;
    }
  }
  out.copyWithin(first, last, count);
  return out.subarray(0, first + count - last);
}

/**
 * The rows of the photos in the cells that a rectangle touches.
 *
 * @param {Pick<Run, "rows" | "columnsAcross" | "occupant">} run @param {Rectangle} bounds in cells
 */
export function findPhotosInCells({ rows, columnsAcross, occupant }, bounds) {
  const found = [];
  const top = Math.max(0, Math.round(bounds.top));
  const bottom = Math.min(rows - 1, Math.round(bounds.bottom));
  const left = Math.max(0, Math.round(bounds.left));
  const right = Math.min(columnsAcross - 1, Math.round(bounds.right));
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const photo = occupant[row * columnsAcross + column];
      if (photo >= 0) {
        found.push(photo);
      }
    }
  }
  return Uint32Array.from(found);
}
