// The same photo in two runs: the one with the same name.

import { rowsByText, valueText } from "./columns.js";
import { emptyMask, maskToRows } from "./masks.js";

/** @typedef {Pick<import("./data.js").Run, "count" | "key">} Rows */

/**
 * The row of a photo of run `from` in run `to`, or -1 if it is not there.
 *
 * @param {Rows} from @param {Rows} to @param {number} row may be -1
 */
export function mapRow(from, to, row) {
  if (row < 0 || from === to) {
    return row;
  }
  return rowsByText(to.key).get(valueText(from.key, row)) ?? -1;
}

/**
 * The mask of the same photos in another run.
 *
 * @param {Rows} from @param {Rows} to @param {Uint8Array} mask @returns {Uint8Array}
 */
export function mapMask(from, to, mask) {
  const mapped = emptyMask(to.count);
  for (const row of maskToRows(mask)) {
    const other = mapRow(from, to, row);
    if (other >= 0) {
      mapped[other] = 1;
    }
  }
  return mapped;
}
