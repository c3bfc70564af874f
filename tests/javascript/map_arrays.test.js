import assert from "node:assert/strict";
import test from "node:test";

import {
  decodeCells,
  decodeHarmony,
  decodeNeighbours,
  decodePositions,
} from "../../tbgrid/plugin/static/map_arrays.js";
import { assertRejected, f32, u32 } from "./support.js";

test("each photo has a cell, and each cell at most one photo", () => {
  const { cells, occupant } = decodeCells(u32(5, 0, 3), 3, 2, 3);
  assert.deepEqual([...cells], [5, 0, 3]);
  assert.deepEqual([...occupant], [1, -1, -1, 2, -1, 0]);
  assert.deepEqual([...decodeCells(u32(1, 0), 2, 1, 2).occupant], [1, 0]); // no cell empty
});

test("inconsistent cells are rejected", () => {
  assertRejected(() => decodeCells(u32(0, 6), 2, 2, 3), /number 1 is 6/);
  assertRejected(() => decodeCells(u32(0, 4, 4), 3, 2, 3), /photos 1 and 2/, /cell 4/);
  assertRejected(() => decodeCells(u32(2, 2), 2, 2, 3), /photos 0 and 1/);
  assertRejected(() => decodeCells(u32(0, 1), 3, 2, 3), /8 bytes/);
  assertRejected(() => decodeCells(u32(0, 1, 2), 3, 1, 2), /1 x 2/);
  assertRejected(() => decodeCells(u32(0), 1, 1e6, 1e6), /1000000 x 1000000/, /at most/);
  assertRejected(() => decodeCells(u32(0), 1, NaN, 1), /NaN/);
});

test("positions, neighbours and harmony survive the round trip", () => {
  assert.deepEqual([...decodePositions(f32(1, 2, -3, 0.5), 2)], [1, 2, -3, 0.5]);
  const { rows, distances } = decodeNeighbours(u32(1, 2, 0, 2, 1, 0), f32(0, 1, 2, 3, 4, 5), 3, 2);
  assert.deepEqual([...rows, ...distances], [1, 2, 0, 2, 1, 0, 0, 1, 2, 3, 4, 5]);
  assert.deepEqual([...decodeHarmony(f32(0.5, NaN, -1), 3)], [0.5, NaN, -1]);
  assert.equal(decodeNeighbours(u32(), f32(), 1, 0).rows.length, 0);
});

test("inconsistent positions, neighbours and harmony are rejected", () => {
  assertRejected(() => decodePositions(f32(1, 2, 3), 2), /positions/, /12 bytes/);
  assertRejected(() => decodePositions(f32(1, NaN), 1), /number 1 is NaN/);
  assertRejected(() => decodePositions(f32(-Infinity, 0), 1), /-Infinity/);
  assertRejected(() => decodeNeighbours(u32(1, 2), f32(0, 0), 2, 1), /number 1 is 2/);
  assertRejected(() => decodeNeighbours(u32(1), f32(0, 0), 2, 1), /neighbours: found 4/);
  assertRejected(() => decodeNeighbours(u32(1, 0), f32(0), 2, 1), /distances/);
  assertRejected(() => decodeNeighbours(u32(1, 0), f32(0, NaN), 2, 1), /NaN/);
  assertRejected(() => decodeHarmony(f32(1), 2), /harmony/);
  assertRejected(() => decodeHarmony(f32(Infinity), 1), /Infinity/);
});
