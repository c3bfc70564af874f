/**
 * Where photos lie, which one lies under a point, and which lie in a rectangle.
 *
 * The unit is the grid cell: x is the column and y the row, both at the cell's centre, so that
 * cell (row r, column c) covers [c - 0.5, c + 0.5) x [r - 0.5, r + 0.5). `centres` are the centres
 * of the photos, x0, y0, x1, y1, ...
 */

/** @typedef {{x: number, y: number}} Point */
/** @typedef {{left: number, top: number, right: number, bottom: number}} Rectangle */

/**
 * The rectangle between two opposite corners.
 * @param {Point} a
 * @param {Point} b
 * @returns {Rectangle}
 */
export function rectangleBetween(a, b) {
  return {
    left: Math.min(a.x, b.x),
    top: Math.min(a.y, b.y),
    right: Math.max(a.x, b.x),
    bottom: Math.max(a.y, b.y),
  };
}

/**
 * Whether a rectangle, its border included, contains a point.
 * @param {Rectangle} rect
 * @param {number} x
 * @param {number} y
 */
export function contains(rect, x, y) {
  return x >= rect.left && x <= rect.right && y >= rect.top && y <= rect.bottom;
}

/**
 * The smallest rectangle around all points.
 * @param {ArrayLike<number>} points x0, y0, x1, y1, ...
 * @returns {Rectangle}
 */
export function boundingBox(points) {
  const box = { left: Infinity, top: Infinity, right: -Infinity, bottom: -Infinity };
  for (let i = 0; i + 1 < points.length; i += 2) {
    box.left = Math.min(box.left, points[i]);
    box.right = Math.max(box.right, points[i]);
    box.top = Math.min(box.top, points[i + 1]);
    box.bottom = Math.max(box.bottom, points[i + 1]);
  }
  return box;
}

/**
 * A mask of the photos whose centres lie in a rectangle, its border included.
 * @param {Rectangle} rect
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function photosInRectangle(rect, centres, n) {
  const mask = new Uint8Array(n);
  for (let row = 0; row < n; row++) {
    mask[row] = contains(rect, centres[2 * row], centres[2 * row + 1]) ? 1 : 0;
  }
  return mask;
}

/**
 * The photo under a point, or -1. Of the photos whose square of `side` contains the point it is the
 * one with the nearest centre; of equally near ones the last, which is drawn on top.
 * @param {number} x
 * @param {number} y
 * @param {ArrayLike<number>} centres
 * @param {number} side
 * @param {number} n
 */
export function photoAt(x, y, centres, side, n) {
  const half = side / 2;
  let [nearest, minDistance] = [-1, Infinity];
  for (let row = 0; row < n; row++) {
    const dx = Math.abs(centres[2 * row] - x);
    const dy = Math.abs(centres[2 * row + 1] - y);
    if (dx <= half && dy <= half && dx * dx + dy * dy <= minDistance) {
      [nearest, minDistance] = [row, dx * dx + dy * dy];
    }
  }
  return nearest;
}

/**
 * The cell under a point, or -1 outside the grid.
 * @param {number} x
 * @param {number} y
 * @param {number} rows
 * @param {number} columns
 */
export function cellAt(x, y, rows, columns) {
  // Math.round rounds .5 up and, unlike floor(x + 0.5), loses no digit to the sum.
  const [column, row] = [Math.round(x), Math.round(y)];
  const within = column >= 0 && column < columns && row >= 0 && row < rows;
  return within ? Math.abs(row * columns + column) : -1; // abs: no negative zero
}

/**
 * @param {number} cell
 * @param {number} columns
 * @returns {Point}
 */
export function cellCentre(cell, columns) {
  return { x: cell % columns, y: Math.floor(cell / columns) };
}

/**
 * The Euclidean distance between two cells, in cells.
 * @param {number} a
 * @param {number} b
 * @param {number} columns
 */
export function cellDistance(a, b, columns) {
  const [from, to] = [cellCentre(a, columns), cellCentre(b, columns)];
  return Math.hypot(from.x - to.x, from.y - to.y);
}

/**
 * Smoothstep, slow at both ends: 0 -> 0, 1/2 -> 1/2, 1 -> 1.
 * @param {number} t clamped to 0 to 1
 */
export function ease(t) {
  const clamped = Math.min(1, Math.max(0, t));
  return clamped * clamped * (3 - 2 * clamped);
}

/**
 * The photos' centres on their way from their layout positions (t = 0) to their cells (t = 1).
 * @param {Float32Array} positions
 * @param {Uint32Array} cells
 * @param {number} columns
 * @param {number} t not eased yet
 * @param {Float32Array} [out] written to and returned, so that an animation allocates nothing
 */
export function interpolateCentres(
  positions, cells, columns, t, out = new Float32Array(positions.length),
) {
  const eased = ease(t);
  for (let row = 0; row < cells.length; row++) {
    const column = cells[row] % columns;
    const line = (cells[row] - column) / columns;
    const [x, y] = [positions[2 * row], positions[2 * row + 1]];
    out[2 * row] = x + eased * (column - x);
    out[2 * row + 1] = y + eased * (line - y);
  }
  return out;
}

/**
 * The nearest photo in a direction, for the arrow keys, or -1. Everything up to 45 degrees from the
 * direction (dx, dy) counts; of equally near photos the one straightest ahead, then the first.
 * @param {number} row
 * @param {number} dx
 * @param {number} dy
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function neighbourInDirection(row, dx, dy, centres, n) {
  const [x, y] = [centres[2 * row], centres[2 * row + 1]];
  let nearest = -1;
  let [minDistance, minAcross] = [Infinity, Infinity];
  for (let other = 0; other < n; other++) {
    const [toX, toY] = [centres[2 * other] - x, centres[2 * other + 1] - y];
    const along = toX * dx + toY * dy;
    const across = Math.abs(toX * dy - toY * dx);
    const distance = toX * toX + toY * toY;
    const nearer = distance < minDistance || (distance === minDistance && across < minAcross);
    if (along > 0 && across <= along && nearer) {
      [nearest, minDistance, minAcross] = [other, distance, across];
    }
  }
  return nearest;
}
