/**
 * Sets of photos as masks, one byte of 0 or 1 per row, and what is taken along of them: lists of
 * names and tables as text. Nothing here changes a mask; every function makes a new one.
 */

import { valueText } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {ArrayLike<number> & Iterable<number>} Rows */

/** Lines joined at a time, so that the parts of 100,000 lines never lie about all at once. */
const CHUNK = 4096;

/** @param {number} n */
export function none(n) {
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
export function count(mask) {
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
export function rowsOf(mask) {
  const rows = new Uint32Array(count(mask));
  let next = 0;
  mask.forEach((bit, row) => {
    if (bit) {
      rows[next++] = row;
    }
  });
  return rows;
}

/**
 * @param {Rows} rows those beyond the last photo are left out
 * @param {number} n
 */
export function maskOf(rows, n) {
  const mask = none(n);
  for (const row of rows) {
    if (row < n) {
      mask[row] = 1;
    }
  }
  return mask;
}

/**
 * @param {Rows} rows
 * @param {(row: number) => string} lineOf
 * @param {string} separator
 */
function joinLines(rows, lineOf, separator) {
  const chunks = [];
  for (let from = 0; from < rows.length; from += CHUNK) {
    const length = Math.min(CHUNK, rows.length - from);
    chunks.push(Array.from({ length }, (_, i) => lineOf(rows[from + i])).join(separator));
  }
  return chunks.join(separator);
}

/**
 * The photos' names as they are, one on each line, the last line ended too, as shells like it.
 * @param {Rows} rows
 * @param {Column} key
 */
export function asPaths(rows, key) {
  return rows.length ? `${joinLines(rows, (row) => valueText(key, row), "\n")}\n` : "";
}

/**
 * @param {Rows} rows
 * @param {Column[]} columns
 * @param {(text: string, isNumber: boolean) => string} cell
 * @param {string} between
 * @param {string} end
 */
function table(rows, columns, cell, between, end) {
  const line = (/** @type {number} */ row) =>
    columns.map((own) => cell(valueText(own, row), own.kind === "number")).join(between);
  const header = columns.map((column) => cell(column.name, false)).join(between);
  return header + end + (rows.length ? joinLines(rows, line, end) + end : "");
}

/**
 * A table for programs. TSV knows no quotes, so tabs and line breaks within a value, which would
 * move all that follows to other columns, become spaces; all else is exact. JSON keeps them.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function asTsv(rows, columns) {
  return table(rows, columns, (text) => text.replace(/[\t\r\n]/g, " "), "\t", "\n");
}

/**
 * One cell of a CSV. A double click opens a CSV in a spreadsheet, which runs a text such as
 * =HYPERLINK(...) as a formula, and the texts may come from a stranger's logdir. So a text that
 * would be read as a formula gets the spreadsheets' own mark of a text, an apostrophe, in front.
 * That costs fidelity for names such as "@eaDir/1.jpg" or "-1.jpg"; TSV, JSON and the list of
 * names, made for programs, keep those exact. Plain numbers such as -5 are harmless and stay.
 * @param {string} text
 * @param {boolean} isNumber
 */
function csvCell(text, isNumber) {
  const likeNumber = isNumber || /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text);
  const safe = !likeNumber && /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * A table for spreadsheets, by RFC 4180, with a header.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function asCsv(rows, columns) {
  return table(rows, columns, csvCell, ",", "\r\n");
}

/**
 * @param {Column} column
 * @param {number} row
 */
function jsonValue(column, row) {
  // JSON has neither NaN nor infinity; stringify makes null of both.
  return JSON.stringify(column.kind === "number" ? column.numbers[row] : valueText(column, row));
}

/**
 * A list of objects, one on each line: numbers as numbers, null where missing, texts exact. Written
 * by hand, as an object can't hold a column called __proto__.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function asJson(rows, columns) {
  const keys = columns.map((column) => JSON.stringify(column.name));
  const line = (/** @type {number} */ row) =>
    `{${columns.map((column, i) => `${keys[i]}: ${jsonValue(column, row)}`).join(", ")}}`;
  return rows.length ? `[\n${joinLines(rows, line, ",\n")}\n]\n` : "[]\n";
}
