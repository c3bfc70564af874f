import assert from "node:assert/strict";
import test from "node:test";

import * as viewport from "../../tbgrid/plugin/static/viewport.js";
import { Random } from "./support.js";

const size = { width: 800, height: 600 };
const grid = { rows: 32, columns: 40 };
const limits = { min: 1, max: 512 };

/** @param {Random} random */
function anyView(random) {
  return { x: 40 * random.float(), y: 32 * random.float(), scale: 2 ** (10 * random.float()) };
}

/** @param {viewport.Point} a @param {viewport.Point} b */
function close(a, b) {
  assert.ok(Math.hypot(a.x - b.x, a.y - b.y) < 1e-6, `${JSON.stringify([a, b])}`);
}

test("screen and world are inverse to each other", () => {
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const view = anyView(random);
    const point = { x: 800 * random.float(), y: 600 * random.float() };
    close(viewport.toScreen(view, size, viewport.toWorld(view, size, point)), point);
  }
});

test("zooming keeps what lies under the pointer, within the limits of scale", () => {
  const random = new Random(2);
  for (let round = 0; round < 200; round++) {
    const view = anyView(random);
    const at = { x: 800 * random.float(), y: 600 * random.float() };
    const after = viewport.zoomView(view, size, at, 4 * random.float(), limits);
    close(viewport.toScreen(after, size, viewport.toWorld(view, size, at)), at);
    assert.ok(after.scale >= limits.min && after.scale <= limits.max);
  }
});

test("a fitted map is visible as a whole, in the middle", () => {
  const box = viewport.visibleBounds(viewport.fitView(grid, size), size);
  assert.ok(box.left < -0.5 && box.top < -0.5 && box.right > 39.5 && box.bottom > 31.5);
  close({ x: box.left + box.right, y: box.top + box.bottom }, { x: 39, y: 31 });
});

test("panning moves the picture by this number of pixels", () => {
  const view = { x: 3, y: 4, scale: 20 };
  const world = { x: 5, y: 5 };
  const before = viewport.toScreen(view, size, world);
  const after = viewport.toScreen(viewport.panView(view, 7, -9), size, world);
  close(after, { x: before.x + 7, y: before.y - 9 });
});

test("nobody gets lost: the middle stays over the grid", () => {
  const lost = viewport.clampView({ x: 1e9, y: -1e9, scale: 1e9 }, grid, limits);
  assert.deepEqual(lost, { x: 39.5, y: -0.5, scale: 512 });
});

test("a flight goes from one view to the other and always comes closer", () => {
  const random = new Random(3);
  for (let round = 0; round < 50; round++) {
    const [a, b] = [anyView(random), anyView(random)];
    close(viewport.interpolateViews(a, b, 0), a);
    close(viewport.interpolateViews(a, b, 1), b);
    const path = [0, 0.25, 0.5, 0.75, 1].map((t) => viewport.interpolateViews(a, b, t));
    const left = path.map((view) => Math.hypot(view.x - b.x, view.y - b.y));
    assert.deepEqual(left, [...left].sort((p, q) => q - p));
  }
});

test("a view in a link shows the same part in a window of another size", () => {
  const view = { x: 12.25, y: 3.5, scale: 50 };
  const text = viewport.formatView(view, size);
  assert.deepEqual(viewport.parseView(text, size), view);
  const other = viewport.parseView(text, { width: 300, height: 1200 });
  assert.equal(other?.scale, 25); // 12 cells fit into 600 px, and into 300
});

for (const text of ["", "1,2", "1,2,3,4", "a,b,c", "1,2,0", "1,2,-3", "1,,3", "1,2,Infinity"]) {
  test(`${JSON.stringify(text)} is not a view`, () => {
    assert.equal(viewport.parseView(text, size), null);
  });
}

test("two fingers keep what lies under each of them, whatever they do", () => {
  const random = new Random(4);
  const finger = () => ({ x: 800 * random.float(), y: 600 * random.float() });
  for (let round = 0; round < 100; round++) {
    const view = anyView(random);
    const [a, b, dx, dy] = [finger(), finger(), random.float(), random.float()];
    const factor = 0.5 + random.float();
    // Without a turn: both move, and the distance between them changes.
    const move = (/** @type {viewport.Point} */ { x, y }) =>
      ({ x: 400 + (x - 400) * factor + 50 * dx, y: 300 + (y - 300) * factor + 50 * dy });
    const after = viewport.pinchView(view, size, [a, b], [move(a), move(b)],
      { min: 1e-6, max: 1e6 });
    for (const point of [a, b]) {
      const world = viewport.toWorld(view, size, point);
      close(viewport.toScreen(after, size, world), move(point));
    }
  }
});
