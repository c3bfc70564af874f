import assert from "node:assert/strict";
import test from "node:test";

import {
  BAD,
  MISSING,
  categoryColour,
  colourByColumn,
  colourByHarmony,
  gradientColour,
} from "../../tbgrid/plugin/static/colours.js";
import { category, numeric, textual } from "./support.js";

/** @typedef {import("../../tbgrid/plugin/static/colours.js").Colour} Colour */

/** @param {number[]} colour */
const linearLight = (colour) =>
  colour.map((byte) => {
    const value = byte / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });

/**
 * @param {number[][]} matrix
 * @param {number[]} vector
 */
const times = (matrix, vector) =>
  matrix.map((line) => line.reduce((sum, value, i) => sum + value * vector[i], 0));

/** @param {number[]} linear red, green and blue light */
function oklab(linear) {
  const cones = times(
    [
      [0.4122214708, 0.5363325363, 0.0514459929],
      [0.2119034982, 0.6806995451, 0.1073969566],
      [0.0883024619, 0.2817188376, 0.6299787005],
    ],
    linear,
  ).map(Math.cbrt);
  return times(
    [
      [0.2104542553, 0.793617785, -0.0040720468],
      [1.9779984951, -2.428592205, 0.4505937099],
      [0.0259040371, 0.7827717662, -0.808675766],
    ],
    cones,
  );
}

// Viénot, Brettel, Mollon (1999): how eyes without red or green cones see red, green and blue.
const PROTAN = [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]];
const DEUTAN = [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]];
const NORMAL = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];

/**
 * @param {number[]} a
 * @param {number[]} b
 * @param {number[][]} eyes
 */
function difference(a, b, eyes = NORMAL) {
  const [p, q] = [a, b].map((colour) => oklab(times(eyes, linearLight(colour))));
  return Math.hypot(...p.map((value, i) => value - q[i]));
}

/**
 * The smallest difference between any two.
 * @param {number[][]} colours
 * @param {number[][]} [eyes]
 */
function smallestDifference(colours, eyes) {
  const pairs = colours.flatMap((a, i) => colours.slice(0, i).map((b) => difference(a, b, eyes)));
  return Math.min(...pairs);
}

/** @param {number} n */
const categories = (n) => Array.from({ length: n }, (_, i) => categoryColour(i));

/** @param {ArrayLike<number>} bytes RGBA */
const rgba = (bytes) =>
  Array.from({ length: bytes.length / 4 }, (_, i) => Array.from(bytes).slice(4 * i, 4 * i + 4));

test("24 categories can be distinguished, also from missing values", () => {
  assert.ok(smallestDifference([...categories(24), MISSING]) > 0.09);
});

test("the first 8 can be distinguished without red or green cones too", () => {
  for (const eyes of [PROTAN, DEUTAN]) {
    assert.ok(smallestDifference(categories(8), eyes) > 0.15);
  }
});

test("all categories are visible on white and on black", () => {
  for (const colour of categories(300)) {
    const luminance = times([[0.2126, 0.7152, 0.0722]], linearLight(colour))[0];
    assert.ok(1.05 / (luminance + 0.05) >= 1.99, `${colour} on white`);
    assert.ok((luminance + 0.05) / 0.05 >= 2.5, `${colour} on black`);
  }
});

test("beyond the palette there are more colours, all of them bytes, no two in a row alike", () => {
  const colours = categories(500);
  colours.forEach((colour) => assert.deepEqual([...Uint8Array.from(colour)], colour));
  assert.ok(new Set(colours.map(String)).size > 450);
  assert.deepEqual(categoryColour(123), categoryColour(123));
  colours.slice(1).forEach((colour, i) => assert.ok(difference(colour, colours[i]) > 0.08));
  categoryColour(0).fill(0); // callers may change what they get
  assert.deepEqual(categoryColour(0), colours[0]);
});

/** @param {(t: number) => Colour} ramp */
const steps = (ramp) => Array.from({ length: 21 }, (_, i) => ramp(i / 20));

test("the gradient gets lighter in equal steps", () => {
  const colours = steps(gradientColour);
  const lightness = colours.map((colour) => oklab(linearLight(colour))[0]);
  const apart = colours.slice(1).map((colour, i) => difference(colour, colours[i]));
  assert.ok(lightness.slice(1).every((value, i) => value > lightness[i] + 0.01));
  assert.ok(Math.max(...apart) < 1.4 * Math.min(...apart), `${apart}`);
});

test("values beyond the ends have the colours of the ends", () => {
  assert.deepEqual([gradientColour(-1), gradientColour(7)], [gradientColour(0), gradientColour(1)]);
});

test("frequent values get the first colours; missing values are grey and come last", () => {
  const column = category("c", ["b", "", "a", "c", "a", "", "", "c", "a", "", "b"]);
  const coloured = colourByColumn(column, 11);
  assert.ok(coloured?.legend.kind === "categories");
  assert.deepEqual(coloured.legend.items, [
    { label: "a", colour: categoryColour(0), count: 3 },
    { label: "b", colour: categoryColour(1), count: 2 },
    { label: "c", colour: categoryColour(2), count: 2 },
    { label: "", colour: MISSING, count: 4 },
  ]);
  const pixels = rgba(coloured.colours);
  assert.deepEqual(pixels[0], [...categoryColour(1), 255]);
  assert.deepEqual(pixels[1], [...MISSING, 255]);
  assert.deepEqual(pixels[10], pixels[0]);
});

test("numbers are coloured by their position within the range", () => {
  const coloured = colourByColumn(numeric("x", [10, NaN, 30, 20, Infinity, -Infinity]), 6);
  assert.ok(coloured?.legend.kind === "range");
  const { low, high, stops, missing } = coloured.legend;
  assert.deepEqual([low, high, missing], [10, 30, 1]);
  assert.deepEqual([stops[0], stops.at(-1)], [gradientColour(0), gradientColour(1)]);
  const [first, middle, last] = [gradientColour(0), gradientColour(128 / 255), gradientColour(1)];
  const expected = [first, MISSING, last, middle, last, first];
  assert.deepEqual(rgba(coloured.colours), expected.map((colour) => [...colour, 255]));
});

test("numbers without a range have a colour too, and a column without numbers has none", () => {
  const same = colourByColumn(numeric("x", [5, 5, NaN]), 3);
  const middle = [...gradientColour(128 / 255), 255];
  assert.deepEqual(same && rgba(same.colours), [middle, middle, [...MISSING, 255]]);
  const widest = colourByColumn(numeric("x", [-Number.MAX_VALUE, 0, Number.MAX_VALUE]), 3);
  assert.deepEqual(widest && rgba(widest.colours)[1], middle);
  assert.equal(colourByColumn(numeric("x", [NaN, NaN]), 2), null);
  assert.equal(colourByColumn(textual("t", ["a", "b"]), 2), null);
});

test("harmony has the same scale in every run", () => {
  const { colours, legend } = colourByHarmony(Float32Array.of(0, 1, -3, NaN, 0.5), 5);
  assert.ok(legend.kind === "range");
  assert.deepEqual([legend.low, legend.high, legend.missing], [0, 1, 1]);
  const pixels = rgba(colours);
  assert.deepEqual(pixels[0], [...BAD, 255]); // as by chance: red
  assert.equal(pixels[1][3], 0); // a photo that fits in well is shown as it is
  assert.deepEqual(pixels[2], pixels[0]);
  assert.deepEqual(pixels[3], [...MISSING, 128]);
  assert.deepEqual(pixels[4], [...BAD, 64]);
  assert.deepEqual(legend.stops[0], BAD);
});

test("equal values have the same colour in both of two runs", () => {
  const one = category("c", ["a", "a", "b"]);
  const other = category("c", ["b", "b", "b", "z"]);
  const [first, second] = [one, other].map((column, i) =>
    colourByColumn(column, 3 + i, [one, other]));
  assert.deepEqual(first?.legend, second?.legend);
  assert.deepEqual(rgba(first?.colours ?? new Uint8Array())[2],
    rgba(second?.colours ?? new Uint8Array())[0]);
  const numbers = [numeric("x", [0, 10]), numeric("x", [10, 20])];
  const [low, high] = numbers.map((column) => colourByColumn(column, 2, numbers));
  assert.deepEqual(low?.legend, high?.legend);
  assert.deepEqual(rgba(low?.colours ?? new Uint8Array())[1],
    rgba(high?.colours ?? new Uint8Array())[0]);
});
