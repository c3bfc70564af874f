import assert from "node:assert/strict";
import test, { mock } from "node:test";

import { MapPointer, strokeMode, wheelFactor } from "../../tbgrid/plugin/static/map_pointer.js";
import { fitView, toScreen } from "../../tbgrid/plugin/static/viewport.js";
import { floats } from "./support.js";

/**
 * @typedef {import("../../tbgrid/plugin/static/map_view.js").MapView} MapView
 * @typedef {import("../../tbgrid/plugin/static/map_view.js").Tool} Tool
 * @typedef {import("../../tbgrid/plugin/static/viewport.js").View} View
 */

Reflect.set(globalThis, "window", globalThis); // for its timers

const COLUMNS = 4;
const SIZE = { width: 400, height: 400 };
const VIEW = fitView({ rows: 4, columns: COLUMNS }, SIZE);

/** A map of 4 x 4 photos that writes down what the pointer does to it. @param {Tool} tool */
function createMap(tool) {
  /** @type {string[]} */
  const log = [];
  const note = (/** @type {string} */ name) =>
    (/** @type {unknown[]} */ ...values) => void log.push([name, ...values].join(" "));
  const map = {
    tool,
    mode: "replace",
    view: VIEW,
    size: SIZE,
    scaleLimits: { min: 1, max: 1000 },
    run: { count: 16 },
    centres: floats(32, (i) => (i % 2 ? Math.floor(i / 8) : (i / 2) % COLUMNS)),
    overlay: {
      getBoundingClientRect: () => ({ left: 0, top: 0 }),
      setPointerCapture() {},
      focus() {},
    },
    listener: {
      onPin: note("pin"),
      onSelect: (/** @type {Uint8Array} */ mask, /** @type {string} */ mode) =>
        note(mode)(Array.from(mask.keys()).filter((row) => mask[row])),
    },
    photoUnder: () => 6,
    requestRedraw() {},
    stopFlight() {},
    hover: (/** @type {number} */ row) => row >= 0 && note("hover")(row),
    pan: note("pan"),
    setView: (/** @type {View} */ view) => note("scale")((view.scale / VIEW.scale).toFixed(2)),
  };
  const pointer = new MapPointer(/** @type {MapView} */ (/** @type {unknown} */ (map)));
  return { pointer, log };
}

/**
 * A pointer event at a point in cells.
 *
 * @param {number} x @param {number} y @param {object} [more]
 */
function at(x, y, more = {}) {
  const screen = toScreen(VIEW, SIZE, { x, y });
  const event = { pointerId: 1, button: 0, pointerType: "mouse", clientX: screen.x,
    clientY: screen.y, shiftKey: false, altKey: false, ctrlKey: false, metaKey: false, ...more };
  return /** @type {PointerEvent} */ (/** @type {unknown} */ (event));
}

/** @param {MapPointer} pointer @param {PointerEvent[]} events of which the first is a press */
function drag(pointer, ...events) {
  pointer.press(events[0]);
  events.slice(1).forEach((event) => pointer.move(event));
  pointer.release(events[events.length - 1]);
}

test("dragging moves the map by as much, and is not a click", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { pointer, log } = createMap("move");
  drag(pointer, at(1, 1), at(2, 1), at(2, 2));
  mock.timers.tick(1000);
  mock.timers.reset();
  assert.deepEqual(log, [`pan ${VIEW.scale} 0`, `pan 0 ${VIEW.scale}`]);
});

test("a click pins, once it cannot become a double click any more", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { pointer, log } = createMap("move");
  drag(pointer, at(1, 1), at(1.01, 1)); // a hand that trembles
  mock.timers.tick(200);
  assert.deepEqual(log, []);
  mock.timers.tick(100);
  mock.timers.reset();
  assert.deepEqual(log, ["pin 6"]);
});

test("a rectangle and a lasso select the photos in them", () => {
  for (const [tool, points, rows] of /** @type {[Tool, PointerEvent[], string][]} */ ([
    ["rectangle", [at(0.5, 0.5), at(2.5, 1.5)], "5,6"],
    ["lasso", [at(-0.5, -0.5), at(3.2, -0.5), at(-0.5, 3.2)], "0,1,2,4,5,8"],
  ])) {
    const { pointer, log } = createMap(tool);
    drag(pointer, ...points);
    assert.deepEqual(log, [`replace ${rows}`]);
    assert.equal(pointer.stroke, null);
  }
});

test("Shift draws a rectangle without its tool, and adds to the selection; Alt subtracts", () => {
  const shifted = createMap("move");
  const shift = { shiftKey: true };
  drag(shifted.pointer, at(0.5, 0.5, shift), at(1.5, 1.5, shift));
  assert.deepEqual(shifted.log, ["add 5"]);
  const { pointer, log } = createMap("rectangle");
  drag(pointer, at(0.5, 0.5, { altKey: true }), at(1.5, 1.5));
  assert.deepEqual(log, ["subtract 5"]);
});

test("a selection that is cancelled selects nothing, not even by a click", () => {
  for (const moves of [[], [at(2, 2)]]) {
    const { pointer, log } = createMap("lasso");
    pointer.press(at(0, 0));
    moves.forEach((event) => pointer.move(event));
    assert.equal(pointer.cancelStroke(), true);
    pointer.release(moves[0] ?? at(0, 0));
    assert.equal(pointer.cancelStroke(), false);
    assert.deepEqual(log, []);
  }
});

test("two fingers zoom, and a second finger ends a selection", () => {
  const { pointer, log } = createMap("rectangle");
  pointer.press(at(1, 1));
  pointer.press(at(2, 1, { pointerId: 2 }));
  assert.equal(pointer.stroke, null);
  pointer.move(at(3, 1, { pointerId: 2 }));
  pointer.release(at(3, 1, { pointerId: 2 }));
  pointer.release(at(1, 1));
  assert.deepEqual(log, ["scale 2.00"]);
});

test("a tap with two fingers pins nothing", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const { pointer, log } = createMap("move");
  pointer.press(at(1, 1));
  pointer.press(at(2, 1, { pointerId: 2 }));
  pointer.release(at(2, 1, { pointerId: 2 }));
  pointer.release(at(1, 1));
  mock.timers.tick(1000);
  mock.timers.reset();
  assert.deepEqual(log, []);
});

test("what the modifier keys ask for comes before the chosen mode", () => {
  const [none, shift, alt] = [[false, false], [true, false], [true, true]].map(
    ([shiftKey, altKey]) => ({ shiftKey, altKey }));
  assert.equal(strokeMode(none, "replace"), "replace");
  assert.equal(strokeMode(none, "subtract"), "subtract");
  assert.equal(strokeMode(shift, "replace"), "add");
  assert.equal(strokeMode(shift, "subtract"), "subtract");
  assert.equal(strokeMode(alt, "add"), "subtract");
});

test("turning the wheel there and back leads to the same scale, in any unit, and has a limit", () => {
  const factor = (/** @type {number} */ deltaY, deltaMode = 0, ctrlKey = false) =>
    wheelFactor({ deltaY, deltaMode, ctrlKey }, 400);
  assert.ok(factor(-100) > 1 && factor(100) < 1);
  assert.ok(Math.abs(factor(-120) * factor(120) - 1) < 1e-12);
  assert.equal(factor(3, 1), factor(48)); // lines
  assert.equal(factor(1, 2), factor(400)); // pages
  assert.equal(factor(10, 0, true), factor(60)); // a pinch on a touch pad
  assert.equal(factor(1e9), factor(600));
});
