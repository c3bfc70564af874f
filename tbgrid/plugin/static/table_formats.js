// Rows of photos as text to copy or to save: a list of names, and tables as TSV, CSV and JSON.

import { valueText } from "./columns.js";

/** @typedef {import("./columns.js").Column} Column */
/** @typedef {import("./masks.js").Rows} Rows */

/** Lines joined at a time, so that the parts of 100,000 lines are never held all at once. */
const CHUNK_SIZE = 4096;

/**
 * @param {Rows} rows
 * @param {(row: number) => string} lineOf
 * @param {string} separator
 */
function joinLines(rows, lineOf, separator) {
  const chunks = [];
  for (let from = 0; from < rows.length; from += CHUNK_SIZE) {
    const length = Math.min(CHUNK_SIZE, rows.length - from);
    chunks.push(Array.from({ length }, (_, i) => lineOf(rows[from + i])).join(separator));
  }
  return chunks.join(separator);
}

/**
 * The photos' names, one per line, each line with a line break as shells expect.
 * @param {Rows} rows
 * @param {Column} key
 */
export function formatPaths(rows, key) {
  return rows.length ? `${joinLines(rows, (row) => valueText(key, row), "\n")}\n` : "";
}

/**
 * @param {Rows} rows
 * @param {Column[]} columns
 * @param {(text: string, isNumber: boolean) => string} cell
 * @param {string} between
 * @param {string} end
 */
function formatTable(rows, columns, cell, between, end) {
  const line = (/** @type {number} */ row) =>
    columns
      .map((column) => cell(valueText(column, row), column.kind === "number"))
      .join(between);
  const header = columns.map((column) => cell(column.name, false)).join(between);
  return header + end + (rows.length ? joinLines(rows, line, end) + end : "");
}

/**
 * A table for programs. TSV has no quotes, so tabs and line breaks within a value, which would
 * shift everything after them, become spaces; everything else is exact. JSON keeps them.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function formatTsv(rows, columns) {
  return formatTable(rows, columns, (text) => text.replace(/[\t\r\n]/g, " "), "\t", "\n");
}

/**
 * One cell of a CSV. A double click opens a CSV in a spreadsheet, which runs a text such as
 * =HYPERLINK(...) as a formula, and the texts may come from an untrusted logdir. A text that would
 * be read as a formula is therefore preceded by an apostrophe, which marks a text in spreadsheets.
 * That changes names such as "@eaDir/1.jpg" or "-1.jpg"; TSV, JSON and the list of names, meant for
 * programs, keep them exact. Plain numbers such as -5 are harmless and stay as they are.
 * @param {string} text
 * @param {boolean} isNumber
 */
function formatCsvCell(text, isNumber) {
  const likeNumber = isNumber || /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text);
  const safe = !likeNumber && /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * A table for spreadsheets, as of RFC 4180, with a header.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function formatCsv(rows, columns) {
  return formatTable(rows, columns, formatCsvCell, ",", "\r\n");
}

/**
 * @param {Column} column
 * @param {number} row
 */
function formatJsonValue(column, row) {
  // JSON has neither NaN nor infinity; stringify turns both into null.
  return JSON.stringify(column.kind === "number" ? column.numbers[row] : valueText(column, row));
}

/**
 * A list of objects, one per line: numbers as numbers, null where missing, texts exact. Assembled
 * by hand, since an object cannot hold a column called __proto__.
 * @param {Rows} rows
 * @param {Column[]} columns
 */
export function formatJson(rows, columns) {
  const keys = columns.map((column) => JSON.stringify(column.name));
  const line = (/** @type {number} */ row) =>
    `{${columns.map((column, i) => `${keys[i]}: ${formatJsonValue(column, row)}`).join(", ")}}`;
  return rows.length ? `[\n${joinLines(rows, line, ",\n")}\n]\n` : "[]\n";
}
