// The same photo in two runs: the one of the same name.

import { rowsByText, valueText } from "./columns.js";
import { none, rowsOf } from "./selection.js";

/** @typedef {import("./data.js").Run} Run */

/**
 * The row of a photo of `from` in the run `to`; -1 if it is not there.
 *
 * @param {Run} from @param {Run} to @param {number} row may be -1
 */
export function rowIn(from, to, row) {
  if (row < 0 || from === to) {
    return row;
  }
  return rowsByText(to.key).get(valueText(from.key, row)) ?? -1;
}

/** @param {Run} from @param {Run} to @param {Uint8Array} mask @returns {Uint8Array} */
export function maskIn(from, to, mask) {
  const made = none(to.count);
  for (const row of rowsOf(mask)) {
    const other = rowIn(from, to, row);
    if (other >= 0) {
      made[other] = 1;
    }
  }
  return made;
}
