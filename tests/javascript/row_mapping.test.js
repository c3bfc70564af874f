import assert from "node:assert/strict";
import test from "node:test";

import { mapMask, mapRow } from "../../tbgrid/plugin/static/row_mapping.js";
import { category, textual } from "./support.js";

/** @param {string[]} names */
const photos = (names) => ({ key: textual("path", names), count: names.length });

test("a photo is found in another run by its name, also in a column of another kind", () => {
  const from = photos(["a", "b", "c"]);
  const to = { key: category("file", ["c", "x", "a"]), count: 3 };
  assert.deepEqual([0, 1, 2].map((row) => mapRow(from, to, row)), [2, -1, 0]);
  assert.equal(mapRow(from, to, -1), -1);
});

test("within a run every photo is itself, even if another has the same name", () => {
  const run = photos(["a", "a"]);
  assert.deepEqual([mapRow(run, run, 1), mapRow(run, run, 0)], [1, 0]);
});

test("of a selection those photos remain that the other run has", () => {
  const mapped = mapMask(photos(["a", "b", "c"]), photos(["c", "d", "a", "e"]),
    Uint8Array.of(1, 1, 0));
  assert.deepEqual([...mapped], [0, 0, 1, 0]);
});
