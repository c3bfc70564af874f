import assert from "node:assert/strict";
import test from "node:test";

import { valueText } from "../../tbgrid/plugin/static/columns.js";
import {
  asCsv,
  asJson,
  asPaths,
  asTsv,
  count,
  intersect,
  maskOf,
  none,
  rowsOf,
  subtract,
  union,
} from "../../tbgrid/plugin/static/selection.js";
import { HALVES, HOSTILE, Random, category, numeric, textual } from "./support.js";

/** @typedef {import("./support.js").Column} Column */

/**
 * Many masks of any size, from empty over full to long runs.
 * @param {(random: Random, n: number, a: Uint8Array, b: Uint8Array) => void} check
 */
function forMasks(check) {
  for (let seed = 0; seed < 100; seed++) {
    const random = new Random(seed);
    const n = random.below(90);
    const share = () => random.pick([0, 0.05, 0.5, 0.95, 1]);
    check(random, n, random.mask(n, share()), random.mask(n, share()));
  }
}

test("masks are sets", () => {
  forMasks((_, n, a, b) => {
    const [inA, inB] = [a, b].map((mask) => new Set(rowsOf(mask)));
    for (let row = 0; row < n; row++) {
      assert.equal(union(a, b)[row], inA.has(row) || inB.has(row) ? 1 : 0);
      assert.equal(intersect(a, b)[row], inA.has(row) && inB.has(row) ? 1 : 0);
      assert.equal(subtract(a, b)[row], inA.has(row) && !inB.has(row) ? 1 : 0);
    }
    assert.equal(count(a), inA.size);
    assert.deepEqual(maskOf(rowsOf(a), n), a);
    assert.deepEqual(maskOf([...rowsOf(a)].reverse(), n), a);
  });
});

test("what goes in isn't changed, and what comes out is new", () => {
  const [a, b] = [Uint8Array.of(1, 0, 1), Uint8Array.of(1, 1, 0)];
  for (const made of [union(a, b), subtract(a, b), intersect(a, b), none(3)]) {
    made.fill(7);
  }
  assert.deepEqual([[...a], [...b]], [[1, 0, 1], [1, 1, 0]]);
  assert.deepEqual([...none(2)], [0, 0]);
  assert.deepEqual([...maskOf([0, 5, 2], 3)], [1, 0, 1]);
});

/**
 * What a reader that keeps to RFC 4180 makes of a CSV.
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
    assert.ok(found, `not by RFC 4180 at ${at}: ${csv.slice(at, at + 40)}`);
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
  return { n, columns, rows: rowsOf(random.mask(n, 0.7)) };
}

/**
 * @param {Column[]} columns
 * @param {Uint32Array} rows
 */
function textsOf(columns, rows) {
  const lines = Array.from(rows, (row) => columns.map((column) => valueText(column, row)));
  return [columns.map((column) => column.name), ...lines];
}

test("a CSV holds all that was in the table, but for the mark before formulas", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const read = readCsv(asCsv(rows, columns));
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
    asCsv([...texts.keys()], columns),
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

test("a TSV has the cells of the table, and only tabs and line breaks within are lost", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const tsv = asTsv(rows, columns);
    assert.ok(tsv.endsWith("\n"));
    assert.deepEqual(
      tsv.slice(0, -1).split("\n").map((line) => line.split("\t")),
      textsOf(columns, rows).map((line) => line.map((text) => text.replace(/[\t\r\n]/g, " "))),
    );
  }
});

test("a JSON holds every text exactly, numbers as numbers, and null where missing", () => {
  for (let seed = 0; seed < 200; seed++) {
    const { columns, rows } = randomTable(new Random(seed));
    const read = /** @type {object[]} */ (JSON.parse(asJson(rows, columns)));
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

test("nothing selected is an empty list, or a header", () => {
  const columns = [textual("path", ["a"]), numeric("x", [1])];
  const nothing = new Uint32Array(0);
  assert.equal(asPaths(nothing, columns[0]), "");
  assert.equal(asTsv(nothing, columns), "path\tx\n");
  assert.equal(asCsv(nothing, columns), "path,x\r\n");
  assert.deepEqual(JSON.parse(asJson(nothing, columns)), []);
});

test("names are listed exactly, one on each line", () => {
  const key = textual("path", ["-a.jpg", "=b.jpg", "c d\te.jpg", "é.jpg"]);
  assert.equal(asPaths([0, 1, 3], key), "-a.jpg\n=b.jpg\né.jpg\n");
  assert.equal(asPaths([2], key), "c d\te.jpg\n");
});

test("100,000 photos are taken along whole", () => {
  const n = 100_000;
  const names = Array.from({ length: n }, (_, row) => `photos/${row % 100}/${row}.jpg`);
  const columns = [textual("path", names), numeric("row", Array.from(names.keys()))];
  const rows = rowsOf(new Uint8Array(n).fill(1));
  assert.deepEqual(asPaths(rows, columns[0]).split("\n").slice(0, -1), names);
  assert.equal(asTsv(rows, columns).split("\n").length, n + 2);
  assert.equal(asTsv(rows.subarray(0, 8192), columns).split("\n").length, 8192 + 2);
  assert.equal(readCsv(asCsv(rows, columns)).length, n + 1);
  const read = JSON.parse(asJson(rows, columns));
  assert.deepEqual([read.length, read[n - 1]], [n, { path: names[n - 1], row: n - 1 }]);
});
