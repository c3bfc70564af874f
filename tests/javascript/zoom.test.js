import assert from "node:assert/strict";
import test from "node:test";

import * as zoom from "../../tbgrid/plugin/static/zoom.js";
import { Random } from "./support.js";

const size = { width: 800, height: 600 };
const grid = { rows: 32, columns: 40 };
const bounds = { least: 1, most: 512 };

/** @param {Random} random */
function anyView(random) {
  return { x: 40 * random.share(), y: 32 * random.share(), scale: 2 ** (10 * random.share()) };
}

/** @param {zoom.Point} a @param {zoom.Point} b */
function close(a, b) {
  assert.ok(Math.hypot(a.x - b.x, a.y - b.y) < 1e-6, `${JSON.stringify([a, b])}`);
}

test("screen and world are inverse to each other", () => {
  const random = new Random(1);
  for (let round = 0; round < 200; round++) {
    const view = anyView(random);
    const point = { x: 800 * random.share(), y: 600 * random.share() };
    close(zoom.toScreen(view, size, zoom.toWorld(view, size, point)), point);
  }
});

test("zooming keeps what lies under the pointer, within the limits of scale", () => {
  const random = new Random(2);
  for (let round = 0; round < 200; round++) {
    const view = anyView(random);
    const at = { x: 800 * random.share(), y: 600 * random.share() };
    const after = zoom.zoomedAt(view, size, at, 4 * random.share(), bounds);
    close(zoom.toScreen(after, size, zoom.toWorld(view, size, at)), at);
    assert.ok(after.scale >= bounds.least && after.scale <= bounds.most);
  }
});

test("a fitted map is seen whole, in the middle", () => {
  const box = zoom.seen(zoom.fitted(grid, size), size);
  assert.ok(box.left < -0.5 && box.top < -0.5 && box.right > 39.5 && box.bottom > 31.5);
  close({ x: box.left + box.right, y: box.top + box.bottom }, { x: 39, y: 31 });
});

test("panning moves the picture by so many pixels", () => {
  const view = { x: 3, y: 4, scale: 20 };
  const world = { x: 5, y: 5 };
  const before = zoom.toScreen(view, size, world);
  close(zoom.toScreen(zoom.panned(view, 7, -9), size, world), { x: before.x + 7, y: before.y - 9 });
});

test("nobody gets lost: the middle stays over the grid", () => {
  const lost = zoom.clamped({ x: 1e9, y: -1e9, scale: 1e9 }, grid, bounds);
  assert.deepEqual(lost, { x: 39.5, y: -0.5, scale: 512 });
});

test("a flight begins at one view, ends at the other and only ever nears its end", () => {
  const random = new Random(3);
  for (let round = 0; round < 50; round++) {
    const [a, b] = [anyView(random), anyView(random)];
    close(zoom.between(a, b, 0), a);
    close(zoom.between(a, b, 1), b);
    const way = [0, 0.25, 0.5, 0.75, 1].map((share) => zoom.between(a, b, share));
    const left = way.map((view) => Math.hypot(view.x - b.x, view.y - b.y));
    assert.deepEqual(left, [...left].sort((p, q) => q - p));
  }
});

test("a view in the address shows the same part in a window of another size", () => {
  const view = { x: 12.25, y: 3.5, scale: 50 };
  const text = zoom.viewToText(view, size);
  assert.deepEqual(zoom.viewFromText(text, size), view);
  const other = zoom.viewFromText(text, { width: 300, height: 1200 });
  assert.equal(other?.scale, 25); // 12 cells fit into 600 px, and into 300
});

for (const text of ["", "1,2", "1,2,3,4", "a,b,c", "1,2,0", "1,2,-3", "1,,3", "1,2,Infinity"]) {
  test(`${JSON.stringify(text)} is no view`, () => {
    assert.equal(zoom.viewFromText(text, size), null);
  });
}
