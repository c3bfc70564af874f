import assert from "node:assert/strict";
import test from "node:test";

import { EMPTY_FILTER, withChip, withQuery } from "../../tbgrid/plugin/static/filter.js";
import { maskToRows } from "../../tbgrid/plugin/static/masks.js";
import { PhotoState } from "../../tbgrid/plugin/static/photo_state.js";
import { category, textual } from "./support.js";

/** @param {string[]} labels @param {string[]} names */
function photosOf(labels, names) {
  const columns = [category("label", labels), textual("path", names)];
  return { columns, key: columns[1], count: names.length };
}

const ANIMALS = photosOf(["cat", "dog", "cat", "cow"], ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]);

/** A state of the four animals, all of which match. */
function startState() {
  const state = new PhotoState();
  state.reset(ANIMALS, EMPTY_FILTER);
  state.setFilter(ANIMALS, EMPTY_FILTER);
  return state;
}

/** @param {PhotoState} state */
const selectedRows = (state) => [...maskToRows(state.selection)];

test("at the start every photo matches and none is selected or pinned", () => {
  const state = startState();
  assert.deepEqual([...state.hits], [0, 1, 2, 3]);
  assert.deepEqual(selectedRows(state), []);
  assert.equal(state.pinnedRow, -1);
  assert.equal(state.isFiltered, false);
});

test("a filter leaves its hits, and a query that finds nothing says why", () => {
  const state = startState();
  assert.equal(state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "cat")), null);
  assert.deepEqual([...state.hits], [0, 2]);
  assert.equal(state.isFiltered, true);
  assert.match(state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "colour:red")) ?? "", /colour/);
  assert.equal(state.hits.length, 0);
  assert.match(state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "(", true)) ?? "", /expression/);
});

test("stepping goes through the hits in a circle, both ways", () => {
  const state = startState();
  state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "-dog"));
  assert.deepEqual([1, 1, 1, 1].map(() => state.stepHit(1)), [0, 2, 3, 0]);
  assert.deepEqual([1, 1, 1].map(() => state.stepHit(-1)), [3, 2, 0]);
});

test("the first step back goes to the last hit", () => {
  const state = startState();
  assert.equal(state.stepHit(-1), 3);
});

test("another filter restarts stepping, and without hits there is no step", () => {
  const state = startState();
  state.stepHit(1);
  state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "cat"));
  assert.equal(state.stepHit(1), 0);
  state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "horse"));
  assert.equal(state.stepHit(1), -1);
});

test("a selection is replaced, added to and subtracted from", () => {
  const state = startState();
  state.select(Uint8Array.of(1, 1, 0, 0), "replace");
  state.select(Uint8Array.of(0, 0, 1, 0), "add");
  assert.deepEqual(selectedRows(state), [0, 1, 2]);
  state.select(Uint8Array.of(0, 1, 1, 1), "subtract");
  assert.deepEqual(selectedRows(state), [0]);
  state.select(Uint8Array.of(0, 0, 0, 1), "replace");
  assert.deepEqual(selectedRows(state), [3]);
});

test("dimmed photos are not selected by drawing around them, but they are deselected", () => {
  const state = startState();
  state.select(Uint8Array.of(0, 1, 0, 0), "replace");
  state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "cat"));
  state.selectDrawn(Uint8Array.of(1, 1, 1, 1), "add");
  assert.deepEqual(selectedRows(state), [0, 1, 2]);
  state.selectDrawn(Uint8Array.of(0, 1, 0, 0), "subtract");
  assert.deepEqual(selectedRows(state), [0, 2]);
});

test("a photo is selected and deselected in turn", () => {
  const state = startState();
  state.toggleRow(2);
  state.toggleRow(1);
  assert.deepEqual(selectedRows(state), [1, 2]);
  state.toggleRow(2);
  assert.deepEqual(selectedRows(state), [1]);
});

test("hits are added to a selection, or all that it keeps", () => {
  const state = startState();
  state.setFilter(ANIMALS, withQuery(EMPTY_FILTER, "cat"));
  state.selectRow(1, "add");
  state.selectHits();
  assert.deepEqual(selectedRows(state), [0, 1, 2]);
  state.keepHits();
  assert.deepEqual(selectedRows(state), [0, 2]);
  state.invertSelection();
  assert.deepEqual(selectedRows(state), [1, 3]);
  state.clearSelection();
  assert.deepEqual(selectedRows(state), []);
  assert.equal(state.selection.length, 4);
});

test("a change of the selection leaves the masks that were given out alone", () => {
  const state = startState();
  const [passes, before] = [state.passes, state.selection];
  state.selectHits();
  state.invertSelection();
  state.toggleRow(0);
  assert.deepEqual([[...passes], [...before]], [[1, 1, 1, 1], [0, 0, 0, 0]]);
});

test("in another run the same photos are selected and the filter has the same words", () => {
  const other = photosOf(["cow", "dog", "cat"], ["d.jpg", "e.jpg", "a.jpg"]);
  const state = startState();
  const cat = 0; // its code in one run; in the other it is 2
  state.setFilter(ANIMALS, withChip(EMPTY_FILTER, 0, cat, true));
  state.select(Uint8Array.of(1, 1, 0, 1), "replace");
  state.pinnedRow = 1;
  state.transfer(ANIMALS, other);
  assert.deepEqual(selectedRows(state), [0, 2]);
  assert.equal(state.pinnedRow, -1);
  state.setFilter(other, state.filter);
  assert.deepEqual([...state.hits], [2]);
});
