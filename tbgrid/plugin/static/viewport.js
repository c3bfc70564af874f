// Which part of the map is visible: an immutable value that knows nothing of the page.
//
// The world is measured in cells: the centre of cell (row r, column c) lies at x = c, y = r, so
// that a grid covers [-0.5, columns - 0.5] x [-0.5, rows - 0.5]. The screen is measured in CSS
// pixels from the top left corner of the canvas.

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{width: number, height: number}} Size
 * @typedef {{rows: number, columns: number}} Grid
 * @typedef {{min: number, max: number}} ScaleLimits
 * @typedef {{x: number, y: number, scale: number}} View the world point in the middle of the
 *   canvas, and CSS pixels per cell
 */

const FIT_RATIO = 0.96; // of the canvas is filled by a map that is shown whole
const MIN_SCALE_RATIO = 0.9; // relative to the scale at which the map is shown whole

/** @param {View} view @param {Size} size @param {Point} world @returns {Point} */
export function toScreen(view, size, world) {
  return {
    x: (world.x - view.x) * view.scale + size.width / 2,
    y: (world.y - view.y) * view.scale + size.height / 2,
  };
}

/** @param {View} view @param {Size} size @param {Point} screen @returns {Point} */
export function toWorld(view, size, screen) {
  return {
    x: (screen.x - size.width / 2) / view.scale + view.x,
    y: (screen.y - size.height / 2) / view.scale + view.y,
  };
}

/** The whole grid in the middle of the canvas. @param {Grid} grid @param {Size} size */
export function fitView(grid, size) {
  const scale = FIT_RATIO * Math.min(size.width / grid.columns, size.height / grid.rows);
  return { x: (grid.columns - 1) / 2, y: (grid.rows - 1) / 2, scale: Math.max(scale, 1e-3) };
}

/**
 * The range of scales. The largest shows a photo at `pixels`, or filling the canvas if that is
 * more.
 *
 * @param {Grid} grid @param {Size} size @param {number} pixels @returns {ScaleLimits}
 */
export function scaleLimits(grid, size, pixels) {
  const whole = fitView(grid, size).scale;
  const max = Math.max(pixels, FIT_RATIO * Math.min(size.width, size.height), whole);
  return { min: whole * MIN_SCALE_RATIO, max };
}

/**
 * `view` within the limits, with its middle over the grid so that nobody gets lost.
 *
 * @param {View} view @param {Grid} grid @param {ScaleLimits} limits @returns {View}
 */
export function clampView(view, grid, limits) {
  return {
    x: Math.min(Math.max(view.x, -0.5), grid.columns - 0.5),
    y: Math.min(Math.max(view.y, -0.5), grid.rows - 0.5),
    scale: Math.min(Math.max(view.scale, limits.min), limits.max),
  };
}

/** @param {View} view @param {number} dx @param {number} dy pixels by which the picture moves */
export function panView(view, dx, dy) {
  return { ...view, x: view.x - dx / view.scale, y: view.y - dy / view.scale };
}

/**
 * Zoom by `factor`, keeping what lies under the screen point `at` in its place.
 *
 * @param {View} view @param {Size} size @param {Point} at @param {number} factor
 * @param {ScaleLimits} limits
 * @returns {View}
 */
export function zoomView(view, size, at, factor, limits) {
  const scale = Math.min(Math.max(view.scale * factor, limits.min), limits.max);
  const before = toWorld(view, size, at);
  const after = toWorld({ ...view, scale }, size, at);
  return { x: view.x + before.x - after.x, y: view.y + before.y - after.y, scale };
}

/**
 * Zoom and move as two fingers do: what lies under them stays under them.
 *
 * @param {View} view @param {Size} size @param {[Point, Point]} before the fingers
 * @param {[Point, Point]} after the fingers @param {ScaleLimits} limits
 * @returns {View}
 */
export function pinchView(view, size, before, after, limits) {
  const [from, to] = [midpoint(before), midpoint(after)];
  const moved = panView(view, to.x - from.x, to.y - from.y);
  return zoomView(moved, size, to, separation(after) / separation(before), limits);
}

/** @param {[Point, Point]} points */
function midpoint([a, b]) {
  return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

/** At least a pixel, so that one can be divided by another. @param {[Point, Point]} points */
function separation([a, b]) {
  return Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
}

/**
 * The view on the way from `a` (t = 0) to `b` (t = 1). The point that ends in the middle moves in
 * proportion to the scale, so that its path looks straight.
 *
 * @param {View} a @param {View} b @param {number} t @returns {View}
 */
export function interpolateViews(a, b, t) {
  const scale = a.scale * (b.scale / a.scale) ** t;
  const sameScale = Math.abs(b.scale / a.scale - 1) < 1e-3;
  const moved = sameScale ? t : (1 / a.scale - 1 / scale) / (1 / a.scale - 1 / b.scale);
  return { x: a.x + (b.x - a.x) * moved, y: a.y + (b.y - a.y) * moved, scale };
}

/**
 * The rectangle of the world on the screen, in cells.
 *
 * @param {View} view @param {Size} size
 */
export function visibleBounds(view, size) {
  const topLeft = toWorld(view, size, { x: 0, y: 0 });
  const bottomRight = toWorld(view, size, { x: size.width, y: size.height });
  return { left: topLeft.x, top: topLeft.y, right: bottomRight.x, bottom: bottomRight.y };
}

/**
 * A view as text that means the same in a window of another size: the middle, and how many cells
 * fit into the shorter side.
 *
 * @param {View} view @param {Size} size
 */
export function formatView(view, size) {
  const cellsAcross = Math.min(size.width, size.height) / view.scale;
  return [view.x, view.y, cellsAcross].map((number) => Number(number.toFixed(3))).join(",");
}

/** @param {string} text @param {Size} size @returns {View | null} null if the text is invalid */
export function parseView(text, size) {
  const numbers = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (numbers.length !== 3 || !numbers.every(Number.isFinite) || numbers[2] <= 0) {
    return null;
  }
  const [x, y, cellsAcross] = numbers;
  return { x, y, scale: Math.min(size.width, size.height) / cellsAcross };
}
