import assert from "node:assert/strict";
import test from "node:test";

import {
  FormatError,
  decodeCategory,
  decodeCells,
  decodeHarmony,
  decodeNeighbours,
  decodeNumber,
  decodePlaces,
  decodeText,
  requireLittleEndian,
  rowCount,
  rowsByText,
  valueText,
} from "../../tbgrid/plugin/static/columns.js";
import { HOSTILE, Random, category, numeric, textual, utf8 } from "./support.js";

/**
 * @param {() => unknown} decode
 * @param {...RegExp} parts of the message
 */
function refused(decode, ...parts) {
  assert.throws(decode, (error) => {
    assert.ok(error instanceof FormatError, String(error));
    parts.forEach((part) => assert.match(error.message, part));
    return true;
  });
}

/** @param {number[]} numbers */
const u32 = (...numbers) => Uint32Array.from(numbers).buffer;
/** @param {number[]} numbers */
const f32 = (...numbers) => Float32Array.from(numbers).buffer;

test("texts come back as they were, whatever they hold", () => {
  const random = new Random(1);
  const texts = Array.from({ length: 500 }, () => random.text(HOSTILE, 8));
  for (const column of [category("c", texts), textual("t", texts)]) {
    assert.deepEqual(texts.map((_, row) => valueText(column, row)), texts);
    assert.equal(rowCount(column), texts.length);
  }
});

test("numbers are shown in as few characters as tell them apart", () => {
  const numbers = [0, -0, 1, -2.5, 0.1, 1e21, 2 ** 53, Infinity, NaN];
  const column = numeric("x", numbers);
  const shown = ["0", "0", "1", "-2.5", "0.1", "1e+21", "9007199254740992", "Infinity", ""];
  assert.deepEqual(numbers.map((_, row) => valueText(column, row)), shown);
});

test("the range of a column is that of its finite numbers", () => {
  const { low, high, present } = numeric("x", [NaN, 3, -Infinity, -1, Infinity, NaN]);
  assert.deepEqual([low, high, present], [-1, 3, 4]);
  const nothing = numeric("x", [NaN, Infinity]);
  assert.deepEqual([nothing.low, nothing.high, nothing.present], [NaN, NaN, 1]);
  assert.deepEqual([numeric("x", []).low, numeric("x", []).present], [NaN, 0]);
});

test("each value of a category is counted", () => {
  const column = decodeCategory("c", u32(2, 0, 2, 2), ["a", "b", "c"], 4);
  assert.deepEqual([...column.counts], [1, 0, 3]);
});

test("a category that doesn't fit is refused with what was found", () => {
  refused(() => decodeCategory("my label", u32(0), ["a"], 2), /my label/, /4 bytes/, /8/);
  refused(() => decodeCategory("c", new ArrayBuffer(7), ["a"], 2), /7 bytes/);
  refused(() => decodeCategory("c", u32(0, 1), ["a"], 2), /number 1 is 1/, /below 1/);
  refused(() => decodeCategory("c", u32(0), [], 1), /below 0/);
  refused(() => decodeCategory("c", u32(0, 0), ["a", 5], 2), /no text: 5/);
  refused(() => decodeCategory("c", u32(0, 0), ["a", null], 2), /null/);
  refused(() => decodeCategory("c", u32(0, 0), ["a", "b", "a"], 2), /"a" twice/);
  for (const values of [undefined, null, "abc", { 0: "a", length: 1 }]) {
    refused(() => decodeCategory("c", u32(0), values, 1), /no list/);
  }
});

test("numbers and texts that don't fit are refused", () => {
  refused(() => decodeNumber("x", new ArrayBuffer(12), 2), /12 bytes/, /16/);
  const { bytes } = utf8(["ab", "c"]);
  refused(() => decodeText("t", bytes, u32(0, 2), 2), /8 bytes/, /12/);
  refused(() => decodeText("t", bytes, u32(0, 2, 4), 2), /0 to 4/, /0 to 3/);
  refused(() => decodeText("t", bytes, u32(0, 2, 2), 2), /0 to 2/);
  refused(() => decodeText("t", bytes, u32(1, 2, 3), 2), /1 to 3/);
  refused(() => decodeText("t", bytes, u32(0, 4_000_000_000, 3), 2), /text 1 begins/);
});

test("bytes that are no UTF-8 stay within their own text", () => {
  const column = decodeText("t", Uint8Array.of(0xe2, 0x82, 65, 0xff).buffer, u32(0, 2, 4), 2);
  assert.deepEqual([valueText(column, 0), valueText(column, 1)], ["\ufffd", "A\ufffd"]);
});

test("the first row of a text is found", () => {
  const texts = ["b", "a", "b", "", "__proto__", "a"];
  for (const column of [category("c", texts), textual("t", texts)]) {
    const rows = rowsByText(column);
    texts.forEach((text) => assert.equal(rows.get(text), texts.indexOf(text)));
    assert.equal(rows.get("c"), undefined);
    assert.equal(rowsByText(column), rows);
  }
  assert.equal(rowsByText(numeric("x", [5, 7])).get("7"), 1);
});

test("each photo has a cell, and each cell at most one photo", () => {
  const { cells, occupant } = decodeCells(u32(5, 0, 3), 3, 2, 3);
  assert.deepEqual([...cells], [5, 0, 3]);
  assert.deepEqual([...occupant], [1, -1, -1, 2, -1, 0]);
  assert.deepEqual([...decodeCells(u32(1, 0), 2, 1, 2).occupant], [1, 0]); // no cell empty
});

test("cells that don't fit are refused", () => {
  refused(() => decodeCells(u32(0, 6), 2, 2, 3), /number 1 is 6/);
  refused(() => decodeCells(u32(0, 4, 4), 3, 2, 3), /photos 1 and 2/, /cell 4/);
  refused(() => decodeCells(u32(2, 2), 2, 2, 3), /photos 0 and 1/);
  refused(() => decodeCells(u32(0, 1), 3, 2, 3), /8 bytes/);
  refused(() => decodeCells(u32(0, 1, 2), 3, 1, 2), /1 x 2/);
  refused(() => decodeCells(u32(0), 1, 1e6, 1e6), /1000000 x 1000000/, /at most/);
  refused(() => decodeCells(u32(0), 1, NaN, 1), /NaN/);
});

test("places, neighbours and harmony are what they were", () => {
  assert.deepEqual([...decodePlaces(f32(1, 2, -3, 0.5), 2)], [1, 2, -3, 0.5]);
  const { near, far } = decodeNeighbours(u32(1, 2, 0, 2, 1, 0), f32(0, 1, 2, 3, 4, 5), 3, 2);
  assert.deepEqual([...near, ...far], [1, 2, 0, 2, 1, 0, 0, 1, 2, 3, 4, 5]);
  assert.deepEqual([...decodeHarmony(f32(0.5, NaN, -1), 3)], [0.5, NaN, -1]);
  assert.equal(decodeNeighbours(u32(), f32(), 1, 0).near.length, 0);
});

test("places, neighbours and harmony that don't fit are refused", () => {
  refused(() => decodePlaces(f32(1, 2, 3), 2), /places/, /12 bytes/);
  refused(() => decodePlaces(f32(1, NaN), 1), /number 1 is NaN/);
  refused(() => decodePlaces(f32(-Infinity, 0), 1), /-Infinity/);
  refused(() => decodeNeighbours(u32(1, 2), f32(0, 0), 2, 1), /number 1 is 2/);
  refused(() => decodeNeighbours(u32(1), f32(0, 0), 2, 1), /neighbours: found 4/);
  refused(() => decodeNeighbours(u32(1, 0), f32(0), 2, 1), /distances/);
  refused(() => decodeNeighbours(u32(1, 0), f32(0, NaN), 2, 1), /NaN/);
  refused(() => decodeHarmony(f32(1), 2), /harmony/);
  refused(() => decodeHarmony(f32(Infinity), 1), /Infinity/);
});

test("a machine of the other byte order is told so", () => {
  requireLittleEndian();
  refused(() => requireLittleEndian(false), /big-endian/);
});

test("any number of bytes but the right one is refused", () => {
  for (let size = 0; size < 40; size++) {
    const buffer = new ArrayBuffer(size);
    const accepted = [
      [24, () => decodeNumber("x", buffer, 3)],
      [24, () => decodePlaces(buffer, 3)],
      [12, () => decodeHarmony(buffer, 3)],
      [12, () => decodeCategory("c", buffer, ["a"], 3)],
      [16, () => decodeText("t", new ArrayBuffer(0), buffer, 3)],
    ];
    for (const [right, decode] of /** @type {[number, () => unknown][]} */ (accepted)) {
      if (size === right) {
        decode();
      } else {
        refused(decode, new RegExp(`found ${size} bytes, expected ${right}`));
      }
    }
  }
});
