/**
 * The text of whole columns, held so that a search is fast: one long string with the offset at
 * which each row begins. 100,000 strings would need more memory, and one search through the long
 * string is faster than 100,000 through short ones.
 */

import { rowCount, valueText } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("./columns.js").TextColumn} TextColumn */
/** @typedef {Exclude<Column, {kind: "category"}>} RowColumn a column with a text for each row */

/**
 * Row i is text.slice(starts[i], starts[i + 1]).
 * @typedef {{text: string, starts: Uint32Array}} Texts
 */

/** Strings joined at a time, so that the strings of all rows are never held at once. */
const CHUNK_SIZE = 4096;

/**
 * A text as searches compare it: without case, and with one spelling for what looks the same. (File
 * names from a Mac hold an e and an accent where a keyboard gives an e with an accent.)
 * @param {string} text
 */
export function foldCase(text) {
  // Greek has a second small sigma for the end of words, which lower case decides by context.
  return text.normalize("NFC").toLowerCase().replaceAll("ς", "σ");
}

/**
 * @param {number} n
 * @param {(row: number) => string} textOf
 * @returns {Texts}
 */
function joinTexts(n, textOf) {
  const starts = new Uint32Array(n + 1);
  const chunks = [];
  for (let from = 0; from < n; from += CHUNK_SIZE) {
    const chunk = [];
    for (let row = from; row < Math.min(n, from + CHUNK_SIZE); row++) {
      const text = textOf(row);
      starts[row + 1] = starts[row] + text.length;
      chunk.push(text);
    }
    chunks.push(chunk.join(""));
  }
  return { text: chunks.join(""), starts };
}

/** @param {Uint8Array} bytes */
function isAscii(bytes) {
  // A plain loop: `every` calls a function for each of millions of bytes.
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] > 127) {
      return false;
    }
  }
  return true;
}

/**
 * @template {object} K
 * @template V
 * @param {(key: K) => V} compute
 * @returns {(key: K) => V} the same, but computed only once and kept as long as its key
 */
function memoize(compute) {
  /** @type {WeakMap<K, V>} */
  const cache = new WeakMap();
  return (key) => {
    let value = cache.get(key);
    if (value === undefined) {
      value = compute(key);
      cache.set(key, value);
    }
    return value;
  };
}

/** The texts of a column's rows as they are. */
export const readTexts = memoize((/** @type {RowColumn} */ column) => {
  if (column.kind === "text" && isAscii(column.bytes)) {
    // A byte is a character, so everything is decoded at once and the offsets stay valid.
    return { text: new TextDecoder().decode(column.bytes), starts: column.offsets };
  }
  return joinTexts(rowCount(column), (row) => valueText(column, row));
});

/** The texts of a column's rows as searches compare them. */
export const foldTexts = memoize((/** @type {RowColumn} */ column) => {
  const { text, starts } = readTexts(column);
  if (column.kind === "number" || isAscii(column.bytes)) {
    return { text: foldCase(text), starts };
  }
  // Row by row, since folding changes lengths, and an accent must not join the row before.
  return joinTexts(rowCount(column), (row) => foldCase(text.slice(starts[row], starts[row + 1])));
});

/** The distinct values of a category as searches compare them. */
export const foldValues = memoize((/** @type {string[]} */ values) => values.map(foldCase));

/**
 * Mark the rows whose text contains `part`.
 * @param {Texts} texts
 * @param {string} part not empty
 * @param {Uint8Array} mask
 */
export function markRowsContaining({ text, starts }, part, mask) {
  let row = 0;
  let at = text.indexOf(part);
  while (at >= 0) {
    while (starts[row + 1] <= at) {
      row++;
    }
    if (at + part.length <= starts[row + 1]) {
      mask[row] = 1;
      at = text.indexOf(part, starts[row + 1]);
    } else {
      at = text.indexOf(part, at + 1); // it began in this row and ended in another
    }
  }
}
