/** Shared by the tests: reproducible random numbers, columns and buffers. */

import assert from "node:assert/strict";

import { FormatError } from "../../tbgrid/plugin/static/buffers.js";
import { decodeCategory, decodeNumber, decodeText } from "../../tbgrid/plugin/static/columns.js";

/** @typedef {import("../../tbgrid/plugin/static/columns.js").Column} Column */

/** A generator of random numbers from a seed (xorshift). */
export class Random {
  /** @param {number} seed */
  constructor(seed) {
    this.state = (seed + 1) * 2654435761;
    this.below(1);
  }

  /** @returns {number} from 0 to 1 */
  float() {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) / 4294967296;
  }

  /** @param {number} end */
  below(end) {
    return Math.floor(this.float() * end);
  }

  /**
   * @template T
   * @param {ArrayLike<T>} items
   * @returns {T}
   */
  pick(items) {
    return items[this.below(items.length)];
  }

  /**
   * @param {ArrayLike<string>} alphabet
   * @param {number} longest
   */
  text(alphabet, longest) {
    return Array.from({ length: this.below(longest + 1) }, () => this.pick(alphabet)).join("");
  }

  /**
   * @param {number} n
   * @param {number} density the proportion of ones
   */
  mask(n, density) {
    return Uint8Array.from({ length: n }, () => (this.float() < density ? 1 : 0));
  }
}

/** Pieces of text that break code written for English: separators, quotes, scripts, halves. */
export const HOSTILE = [
  ..."aAbB 01_-.*~:;,=<>%&?#+/\\|'\"\t\r\n\0",
  ...["é", "e\u0301", "\u0301", "İ", "ß", "ẞ", "Σ", "ς", "σ", "ﬁ", "日本", "😀", "\u202e", "\ufeff"],
  ...["__proto__", "_2E", "_u20AC", "constructor", "<script>", "&amp;"],
];

/** Halves of surrogate pairs: in JSON and in what users type, but never in UTF-8. */
export const HALVES = ["\ud83d", "\ude00"];

/**
 * @param {string} name
 * @param {string[]} texts
 */
export function category(name, texts) {
  const values = [...new Set(texts)];
  const codes = Uint32Array.from(texts, (text) => values.indexOf(text));
  return decodeCategory(name, codes.buffer, values, texts.length);
}

/**
 * @param {string} name
 * @param {number[]} numbers
 */
export function numeric(name, numbers) {
  return decodeNumber(name, Float64Array.from(numbers).buffer, numbers.length);
}

/** @param {string[]} texts */
export function utf8(texts) {
  const parts = texts.map((text) => new TextEncoder().encode(text));
  const offsets = new Uint32Array(texts.length + 1);
  parts.forEach((part, row) => (offsets[row + 1] = offsets[row] + part.length));
  const bytes = new Uint8Array(offsets[texts.length]);
  parts.forEach((part, row) => bytes.set(part, offsets[row]));
  return { bytes: bytes.buffer, offsets: offsets.buffer };
}

/**
 * @param {string} name
 * @param {string[]} texts
 */
export function textual(name, texts) {
  const { bytes, offsets } = utf8(texts);
  return decodeText(name, bytes, offsets, texts.length);
}

/**
 * @param {number} n
 * @param {(row: number) => number} coordinate
 */
export function floats(n, coordinate) {
  return Float32Array.from({ length: n }, (_, i) => coordinate(i));
}

/**
 * Assert that decoding fails with a message for users.
 * @param {() => unknown} decode
 * @param {...RegExp} parts of the message
 */
export function assertRejected(decode, ...parts) {
  assert.throws(decode, (error) => {
    assert.ok(error instanceof FormatError, String(error));
    parts.forEach((part) => assert.match(error.message, part));
    return true;
  });
}

/** @param {number[]} numbers */
export const u32 = (...numbers) => Uint32Array.from(numbers).buffer;
/** @param {number[]} numbers */
export const f32 = (...numbers) => Float32Array.from(numbers).buffer;

/**
 * @param {Random} random
 * @param {number} n
 * @param {number} extent
 */
export const scatter = (random, n, extent) => floats(2 * n, () => random.float() * extent);

/** @param {number} n */
export const listRows = (n) => Array.from({ length: n }, (_, row) => row);

/**
 * @param {Float32Array} centres
 * @param {number} row
 * @param {number} x
 * @param {number} y
 */
export const distanceTo = (centres, row, x, y) =>
  Math.hypot(centres[2 * row] - x, centres[2 * row + 1] - y);
