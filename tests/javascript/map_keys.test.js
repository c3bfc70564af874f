import assert from "node:assert/strict";
import test from "node:test";

import { handleMapKey } from "../../tbgrid/plugin/static/map_keys.js";

/** @typedef {import("../../tbgrid/plugin/static/map_view.js").MapView} MapView */

/**
 * A map that writes down what keys do to it.
 *
 * @param {{hoveredRow?: number, pinnedRow?: number}} rows
 */
function createMap({ hoveredRow = -1, pinnedRow = -1 } = {}) {
  /** @type {string[]} */
  const log = [];
  const note = (/** @type {string} */ name) =>
    (/** @type {unknown[]} */ ...values) => void log.push([name, ...values].join(" "));
  const map = {
    hoveredRow,
    pinnedRow,
    size: { width: 400, height: 300 },
    listener: { onPin: note("pin") },
    pointer: { cancelStroke: () => false },
    pan: note("pan"),
    zoom: (/** @type {{x: number, y: number}} */ { x, y }, /** @type {number} */ factor) =>
      note("zoom")(x, y, factor.toFixed(2)),
    showAll: note("show all"),
    middlePhoto: () => 42,
    photoBeside: (/** @type {number} */ row, /** @type {number} */ dx, /** @type {number} */ dy) =>
      row + dx + 10 * dy,
    hover: note("hover"),
    lookAt: note("look at"),
  };
  const press = (/** @type {string} */ key, shiftKey = false) => handleMapKey(
    /** @type {MapView} */ (/** @type {unknown} */ (map)), { key, shiftKey });
  return { press, log };
}

test("arrow keys start in the middle, or at the photo that is pointed at or pinned", () => {
  for (const [rows, key, row] of /** @type {const} */ ([
    [{}, "ArrowLeft", 42],
    [{ pinnedRow: 7 }, "ArrowRight", 8],
    [{ hoveredRow: 30, pinnedRow: 7 }, "ArrowUp", 20],
    [{ hoveredRow: 30 }, "ArrowDown", 40],
  ])) {
    const { press, log } = createMap(rows);
    assert.equal(press(key), true);
    assert.deepEqual(log, [`hover ${row} `, `look at ${row}`]);
  }
});

test("at the edge an arrow key changes nothing, but the page does not scroll", () => {
  const { press, log } = createMap({ hoveredRow: 0 });
  assert.equal(press("ArrowUp"), true); // -10: there is none
  assert.deepEqual(log, []);
});

test("with Shift arrow keys pan the map, opposite to its content", () => {
  const { press, log } = createMap({ hoveredRow: 5 });
  ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].forEach((key) => press(key, true));
  assert.deepEqual(log, ["pan 60 0", "pan -60 0", "pan 0 60", "pan 0 -60"]);
});

test("plus and minus zoom around the middle, with and without Shift", () => {
  const { press, log } = createMap();
  ["+", "=", "-", "_"].forEach((key) => assert.equal(press(key), true));
  const [closer, farther] = ["zoom 200 150 1.50", "zoom 200 150 0.67"];
  assert.deepEqual(log, [closer, closer, farther, farther]);
});

test("Enter and space pin the photo that is pointed at, if any", () => {
  const { press, log } = createMap({ hoveredRow: 3 });
  assert.deepEqual([press("Enter"), press(" ")], [true, true]);
  assert.deepEqual(log, ["pin 3", "pin 3"]);
  assert.equal(createMap({ pinnedRow: 3 }).press("Enter"), false);
});

test("other keys are left to the tab and the browser", () => {
  const { press, log } = createMap({ hoveredRow: 3 });
  for (const key of ["a", "Tab", "Escape", "1", "constructor"]) {
    assert.equal(press(key), false, key);
  }
  assert.deepEqual(log, []);
});
