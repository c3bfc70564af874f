import assert from "node:assert/strict";
import test from "node:test";

import { valueText } from "../../tbgrid/plugin/static/columns.js";
import { maskToRows } from "../../tbgrid/plugin/static/masks.js";
import { formatCsv, formatJson, formatPaths, formatTsv }
  from "../../tbgrid/plugin/static/table_formats.js";
import { HALVES, HOSTILE, Random, category, numeric, textual } from "./support.js";

/** @typedef {import("./support.js").Column} Column */

/**
 * Reads a CSV strictly by RFC 4180.
 * @param {string} csv
 */
function readCsv(csv) {
  /** @type {string[][]} */
  const lines = [];
  let at = 0;
  const cell = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/y;
  for (let line = /** @type {string[]} */ ([]); at < csv.length; at = cell.lastIndex) {
    cell.lastIndex = at;
    const found = cell.exec(csv);
    assert.ok(found, `not valid by RFC 4180 at ${at}: ${csv.slice(at, at + 40)}`);
    line.push(found[1]?.replaceAll('""', '"') ?? found[2]);
    if (found[3] !== ",") {
      lines.push(line);
      line = [];
    }
  }
  return lines;
}

/** @param {Random} random */
function randomTable(random) {
  const n = 1 + random.below(30);
  const texts = (/** @type {string[]} */ pieces) =>
    Array.from({ length: n }, () => random.text(pieces, 4));
  const numbers = Array.from({ length: n }, () => random.pick([NaN, 0, -1.5, 1e21, 7, 5e-324]));
  const columns = [
    category(random.text(HOSTILE, 3), texts([...HOSTILE, ...HALVES])),
    textual("path", texts(HOSTILE)),
    numeric("__proto__", numbers),
  ];
  return { n, columns, rows: maskToRows(random.mask(n, 0.7)) };
}

/**
 * @param {Column[]} columns
 * @param {Uint32Array} rows
 */
function textsOf(columns, rows) {
  const lines = Array.from(rows, (row) => columns.map((column) => valueText(column, row)));
  return [columns.map((column) => column.name), ...lines];
}

test("a CSV contains everything in the table, and an apostrophe before formulas", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const read = readCsv(formatCsv(rows, columns));
    const unmarked = (/** @type {string[]} */ line) =>
      line.map((text) => text.replace(/^'(?=[=+\-@\t\r\n])/, ""));
    assert.deepEqual(read.map(unmarked), textsOf(columns, rows).map(unmarked), `seed ${seed}`);
    for (const line of read) {
      line.slice(0, 2).forEach((text) => assert.doesNotMatch(text, /^[=+@\t\r\n]|^-[^\d.]/));
    }
  }
});

test("a CSV has a header, CRLF, quotes where needed, and no formulas", () => {
  const texts = ["a,b", 'say "hi"', "two\nlines", "=1+1", "@eaDir/1.jpg", "-5", "-x", "+49 30"];
  const columns = [textual("=name", texts), numeric("n", [1, NaN, -3, 0.5, 1e21, 6, 7, 8])];
  assert.equal(
    formatCsv([...texts.keys()], columns),
    [
      "'=name,n",
      '"a,b",1',
      '"say ""hi""",',
      '"two\nlines",-3',
      "'=1+1,0.5",
      "'@eaDir/1.jpg,1e+21",
      "-5,6",
      "'-x,7",
      "'+49 30,8",
      "",
    ].join("\r\n"),
  );
});

test("a TSV contains the cells of the table; only tabs and line breaks within are lost", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const tsv = formatTsv(rows, columns);
    assert.ok(tsv.endsWith("\n"));
    assert.deepEqual(
      tsv.slice(0, -1).split("\n").map((line) => line.split("\t")),
      textsOf(columns, rows).map((line) => line.map((text) => text.replace(/[\t\r\n]/g, " "))),
    );
  }
});

test("a JSON contains every text exactly, numbers as numbers, and null where missing", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const read = /** @type {object[]} */ (JSON.parse(formatJson(rows, columns)));
    assert.equal(read.length, rows.length);
    read.forEach((item, i) => {
      const expected = new Map(columns.map((column) => [column.name, value(column, rows[i])]));
      assert.deepEqual(new Map(Object.entries(item)), expected);
    });
  }
});

/**
 * @param {Column} column
 * @param {number} row
 */
function value(column, row) {
  if (column.kind !== "number") {
    return valueText(column, row);
  }
  return Number.isNaN(column.numbers[row]) ? null : column.numbers[row];
}

test("an empty selection is an empty list, or a header", () => {
  const columns = [textual("path", ["a"]), numeric("x", [1])];
  const nothing = new Uint32Array(0);
  assert.equal(formatPaths(nothing, columns[0]), "");
  assert.equal(formatTsv(nothing, columns), "path\tx\n");
  assert.equal(formatCsv(nothing, columns), "path,x\r\n");
  assert.deepEqual(JSON.parse(formatJson(nothing, columns)), []);
});

test("names are listed exactly, one per line", () => {
  const key = textual("path", ["-a.jpg", "=b.jpg", "c d\te.jpg", "é.jpg"]);
  assert.equal(formatPaths([0, 1, 3], key), "-a.jpg\n=b.jpg\né.jpg\n");
  assert.equal(formatPaths([2], key), "c d\te.jpg\n");
});

test("100,000 photos are written completely", () => {
  const n = 100_000;
  const names = Array.from({ length: n }, (_, row) => `photos/${row % 100}/${row}.jpg`);
  const columns = [textual("path", names), numeric("row", Array.from(names.keys()))];
  const rows = maskToRows(new Uint8Array(n).fill(1));
  assert.deepEqual(formatPaths(rows, columns[0]).split("\n").slice(0, -1), names);
  assert.equal(formatTsv(rows, columns).split("\n").length, n + 2);
  assert.equal(formatTsv(rows.subarray(0, 8192), columns).split("\n").length, 8192 + 2);
  assert.equal(readCsv(formatCsv(rows, columns)).length, n + 1);
  const read = JSON.parse(formatJson(rows, columns));
  assert.deepEqual([read.length, read[n - 1]], [n, { path: names[n - 1], row: n - 1 }]);
});
