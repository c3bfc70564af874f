/**
 * The columns of a run: a category, a number or a text for each photo. Row i is the same photo in
 * all of them.
 *
 * A logdir may come from an untrusted source or an interrupted copy, so nothing is trusted that
 * could make a later stage read beyond an array: any inconsistency is a FormatError of that run.
 */

import { FormatError, float64, requireBelow, uint32 } from "./buffers.js";

/**
 * @typedef {object} CategoryColumn
 * @property {string} name
 * @property {"category"} kind
 * @property {Uint32Array} codes index into `values`, one per photo
 * @property {string[]} values distinct
 * @property {Uint32Array} counts photos of each value
 */
/**
 * @typedef {object} NumberColumn
 * @property {string} name
 * @property {"number"} kind
 * @property {Float64Array} numbers NaN where missing
 * @property {number} low smallest finite number; NaN if there is none
 * @property {number} high largest finite number; NaN if there is none
 * @property {number} present photos whose number is not missing
 */
/**
 * @typedef {object} TextColumn
 * @property {string} name
 * @property {"text"} kind
 * @property {Uint8Array} bytes UTF-8 of all texts, concatenated
 * @property {Uint32Array} offsets n + 1 of them: text i lies from offsets[i] to offsets[i + 1]
 */
/** @typedef {CategoryColumn | NumberColumn | TextColumn} Column */

// A byte order mark at the start of a text belongs to the text: a file name may contain one.
const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * @param {string} what
 * @param {unknown} values
 * @returns {string[]}
 */
function requireDistinctStrings(what, values) {
  if (!Array.isArray(values)) {
    throw new FormatError(`${what}: its values are not a list`);
  }
  const known = new Set();
  for (const value of values) {
    if (typeof value !== "string") {
      const shown = JSON.stringify(value);
      throw new FormatError(`${what}: found a value that is not a string: ${shown}`);
    }
    if (known.has(value)) {
      throw new FormatError(`${what}: found the value ${JSON.stringify(value)} twice`);
    }
    known.add(value);
  }
  return values;
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer uint32[n]
 * @param {unknown} values the content of the column's JSON file
 * @param {number} n
 * @returns {CategoryColumn}
 */
export function decodeCategory(name, buffer, values, n) {
  const what = `column ${JSON.stringify(name)}`;
  const codes = uint32(what, buffer, n);
  const strings = requireDistinctStrings(what, values);
  requireBelow(what, codes, strings.length);
  const counts = new Uint32Array(strings.length);
  for (const code of codes) {
    counts[code]++;
  }
  return { name, kind: "category", codes, values: strings, counts };
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer float64[n]
 * @param {number} n
 * @returns {NumberColumn}
 */
export function decodeNumber(name, buffer, n) {
  const numbers = float64(`column ${JSON.stringify(name)}`, buffer, n);
  let [low, high, present] = [Infinity, -Infinity, 0];
  for (const number of numbers) {
    present += Number.isNaN(number) ? 0 : 1;
    if (Number.isFinite(number)) {
      low = Math.min(low, number);
      high = Math.max(high, number);
    }
  }
  if (low > high) {
    [low, high] = [NaN, NaN];
  }
  return { name, kind: "number", numbers, low, high, present };
}

/**
 * @param {string} name
 * @param {ArrayBuffer} buffer UTF-8
 * @param {ArrayBuffer} offsetBuffer uint32[n + 1]
 * @param {number} n
 * @returns {TextColumn}
 */
export function decodeText(name, buffer, offsetBuffer, n) {
  const what = `column ${JSON.stringify(name)}`;
  const offsets = uint32(what, offsetBuffer, n + 1);
  const bytes = new Uint8Array(buffer);
  if (offsets[0] !== 0 || offsets[n] !== bytes.length) {
    throw new FormatError(
      `${what}: its texts lie at bytes ${offsets[0]} to ${offsets[n]}, ` +
        `expected 0 to ${bytes.length}, the length of its file`,
    );
  }
  for (let row = 0; row < n; row++) {
    if (offsets[row] > offsets[row + 1]) {
      throw new FormatError(
        `${what}: text ${row} begins at byte ${offsets[row]}, behind its end ${offsets[row + 1]}`,
      );
    }
  }
  return { name, kind: "text", bytes, offsets };
}

/**
 * @param {TextColumn} column
 * @param {number} row
 */
function decodeRow(column, row) {
  return UTF8.decode(column.bytes.subarray(column.offsets[row], column.offsets[row + 1]));
}

/**
 * The shortest text that distinguishes a number from all others; empty for a missing one.
 * @param {number} number
 */
export function numberText(number) {
  return Number.isNaN(number) ? "" : String(number);
}

/**
 * @param {Column} column
 * @param {number} row
 * @returns {string}
 */
export function valueText(column, row) {
  switch (column.kind) {
    case "category":
      return column.values[column.codes[row]];
    case "number":
      return numberText(column.numbers[row]);
    case "text":
      return decodeRow(column, row);
  }
}

/**
 * How many photos a column describes.
 * @param {Column} column
 */
export function rowCount(column) {
  switch (column.kind) {
    case "category":
      return column.codes.length;
    case "number":
      return column.numbers.length;
    case "text":
      return column.offsets.length - 1;
  }
}

/** @type {WeakMap<Column, Map<string, number>>} */
const rowMaps = new WeakMap();

/**
 * Text -> the first row that has it, to find a photo of one run in another.
 * @param {Column} column
 * @returns {Map<string, number>}
 */
export function rowsByText(column) {
  let rows = rowMaps.get(column);
  if (!rows) {
    rows = new Map();
    // From the last to the first, so that the first remains.
    for (let row = rowCount(column) - 1; row >= 0; row--) {
      rows.set(valueText(column, row), row);
    }
    rowMaps.set(column, rows);
  }
  return rows;
}
