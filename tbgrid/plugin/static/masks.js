// Sets of photos as masks, one byte of 0 or 1 per row. No function changes a mask it is given.

/** @typedef {ArrayLike<number> & Iterable<number>} Rows */

/** @param {number} n */
export function emptyMask(n) {
  return new Uint8Array(n);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function union(a, b) {
  return a.map((bit, row) => bit | b[row]);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function subtract(a, b) {
  return a.map((bit, row) => bit & ~b[row]);
}

/**
 * @param {Uint8Array} a
 * @param {Uint8Array} b
 */
export function intersect(a, b) {
  return a.map((bit, row) => bit & b[row]);
}

/** @param {Uint8Array} mask */
export function countRows(mask) {
  let total = 0;
  for (let row = 0; row < mask.length; row++) {
    total += mask[row];
  }
  return total;
}

/**
 * @param {Uint8Array} mask
 * @returns {Uint32Array} ascending
 */
export function maskToRows(mask) {
  const rows = new Uint32Array(countRows(mask));
  let next = 0;
  mask.forEach((bit, row) => {
    if (bit) {
      rows[next++] = row;
    }
  });
  return rows;
}

/**
 * @param {Rows} rows rows beyond the last photo are ignored
 * @param {number} n
 */
export function rowsToMask(rows, n) {
  const mask = emptyMask(n);
  for (const row of rows) {
    if (row < n) {
      mask[row] = 1;
    }
  }
  return mask;
}
