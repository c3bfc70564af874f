import assert from "node:assert/strict";
import test from "node:test";

import {
  decodeCategory,
  decodeNumber,
  decodeText,
  rowCount,
  rowsByText,
  valueText,
} from "../../tbgrid/plugin/static/columns.js";
import { HOSTILE, Random, assertRejected, category, numeric, textual, u32, utf8 }
  from "./support.js";

test("texts survive the round trip, whatever they contain", () => {
  const random = new Random(1);
  const texts = Array.from({ length: 500 }, () => random.text(HOSTILE, 8));
  for (const column of [category("c", texts), textual("t", texts)]) {
    assert.deepEqual(texts.map((_, row) => valueText(column, row)), texts);
    assert.equal(rowCount(column), texts.length);
  }
});

test("numbers are shown in as few characters as distinguish them", () => {
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

test("an inconsistent category is rejected with a message that says what was found", () => {
  assertRejected(() => decodeCategory("my label", u32(0), ["a"], 2), /my label/, /4 bytes/, /8/);
  assertRejected(() => decodeCategory("c", new ArrayBuffer(7), ["a"], 2), /7 bytes/);
  assertRejected(() => decodeCategory("c", u32(0, 1), ["a"], 2), /number 1 is 1/, /below 1/);
  assertRejected(() => decodeCategory("c", u32(0), [], 1), /below 0/);
  assertRejected(() => decodeCategory("c", u32(0, 0), ["a", 5], 2), /not a string: 5/);
  assertRejected(() => decodeCategory("c", u32(0, 0), ["a", null], 2), /null/);
  assertRejected(() => decodeCategory("c", u32(0, 0), ["a", "b", "a"], 2), /"a" twice/);
  for (const values of [undefined, null, "abc", { 0: "a", length: 1 }]) {
    assertRejected(() => decodeCategory("c", u32(0), values, 1), /not a list/);
  }
});

test("inconsistent numbers and texts are rejected", () => {
  assertRejected(() => decodeNumber("x", new ArrayBuffer(12), 2), /12 bytes/, /16/);
  const { bytes } = utf8(["ab", "c"]);
  assertRejected(() => decodeText("t", bytes, u32(0, 2), 2), /8 bytes/, /12/);
  assertRejected(() => decodeText("t", bytes, u32(0, 2, 4), 2), /0 to 4/, /0 to 3/);
  assertRejected(() => decodeText("t", bytes, u32(0, 2, 2), 2), /0 to 2/);
  assertRejected(() => decodeText("t", bytes, u32(1, 2, 3), 2), /1 to 3/);
  assertRejected(() => decodeText("t", bytes, u32(0, 4_000_000_000, 3), 2), /text 1 begins/);
});

test("invalid UTF-8 stays within its own text", () => {
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
