/**
 * The text of whole columns, held so that a search is quick: one long string with the place at
 * which each row begins. 100,000 strings of their own would cost more memory, and one search
 * through the long string is faster than 100,000 through short ones.
 */

import { rowCount, valueText } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("./columns.js").TextColumn} TextColumn */
/** @typedef {Exclude<Column, {kind: "category"}>} RowColumn a column with a text for each row */

/**
 * Row i is text.slice(starts[i], starts[i + 1]).
 * @typedef {{text: string, starts: Uint32Array}} Texts
 */

/** Strings joined at a time, so that never all rows lie about as strings of their own. */
const CHUNK = 4096;

/**
 * A text as searches compare it: without case, and with one spelling for what looks the same (file
 * names from a Mac hold an e and an accent where a keyboard gives an e with an accent).
 * @param {string} text
 */
export function folded(text) {
  // Greek has a second small sigma for the end of words, which lower case decides by context.
  return text.normalize("NFC").toLowerCase().replaceAll("ς", "σ");
}

/**
 * @param {number} n
 * @param {(row: number) => string} textOf
 * @returns {Texts}
 */
function joined(n, textOf) {
  const starts = new Uint32Array(n + 1);
  const chunks = [];
  for (let from = 0; from < n; from += CHUNK) {
    const chunk = [];
    for (let row = from; row < Math.min(n, from + CHUNK); row++) {
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
 * @param {RowColumn} column
 * @returns {Texts}
 */
function readTexts(column) {
  if (column.kind === "text" && isAscii(column.bytes)) {
    // A byte is a character, so the whole is decoded at once and the offsets hold as they are.
    return { text: new TextDecoder().decode(column.bytes), starts: column.offsets };
  }
  return joined(rowCount(column), (row) => valueText(column, row));
}

/**
 * @param {RowColumn} column
 * @returns {Texts}
 */
function foldTexts(column) {
  const { text, starts } = rawTexts(column);
  if (column.kind === "number" || isAscii(column.bytes)) {
    return { text: folded(text), starts };
  }
  // Row by row, as folding changes lengths and an accent must not join the row before.
  return joined(rowCount(column), (row) => folded(text.slice(starts[row], starts[row + 1])));
}

/**
 * @template {object} K
 * @template V
 * @param {(key: K) => V} make
 * @returns {(key: K) => V} the same, but each value is made once and kept as long as its key
 */
function kept(make) {
  /** @type {WeakMap<K, V>} */
  const made = new WeakMap();
  return (key) => {
    let value = made.get(key);
    if (value === undefined) {
      value = make(key);
      made.set(key, value);
    }
    return value;
  };
}

/** The texts of a column's rows as they are. */
export const rawTexts = kept(readTexts);
/** The texts of a column's rows as searches compare them. */
export const foldedTexts = kept(foldTexts);
/** The distinct values of a category as searches compare them. */
export const foldedValues = kept((/** @type {string[]} */ values) => values.map(folded));

/**
 * Marks the rows whose text holds `part`.
 * @param {Texts} texts
 * @param {string} part not empty
 * @param {Uint8Array} mask
 */
export function markRowsWith({ text, starts }, part, mask) {
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
