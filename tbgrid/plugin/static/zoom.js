// What part of the map is seen: an immutable value, with no knowledge of the page.
//
// The world is measured in cells: the centre of cell (row r, column c) lies at x = c, y = r, so
// that a grid covers [-0.5, columns - 0.5] x [-0.5, rows - 0.5]. The screen is measured in CSS
// pixels from the top left corner of the canvas.

/**
 * @typedef {{x: number, y: number}} Point
 * @typedef {{width: number, height: number}} Size
 * @typedef {{rows: number, columns: number}} Grid
 * @typedef {{x: number, y: number, scale: number}} View the world point in the middle of the
 *   canvas, and CSS pixels per cell
 */

const MARGIN = 0.96; // of the canvas is taken by a map that is seen whole
const SMALLEST = 0.9; // times the scale at which the map is seen whole

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
export function fitted(grid, size) {
  const scale = MARGIN * Math.min(size.width / grid.columns, size.height / grid.rows);
  return { x: (grid.columns - 1) / 2, y: (grid.rows - 1) / 2, scale: Math.max(scale, 1e-3) };
}

/**
 * The scales between which one may zoom. The largest shows a photo at `pixels`, or filling the
 * canvas where that is more.
 *
 * @param {Grid} grid @param {Size} size @param {number} pixels
 */
export function limits(grid, size, pixels) {
  const whole = fitted(grid, size).scale;
  const most = Math.max(pixels, MARGIN * Math.min(size.width, size.height), whole);
  return { least: whole * SMALLEST, most };
}

/**
 * `view` within the limits, and with its middle over the grid, so that nobody gets lost.
 *
 * @param {View} view @param {Grid} grid @param {{least: number, most: number}} bounds
 * @returns {View}
 */
export function clamped(view, grid, bounds) {
  return {
    x: Math.min(Math.max(view.x, -0.5), grid.columns - 0.5),
    y: Math.min(Math.max(view.y, -0.5), grid.rows - 0.5),
    scale: Math.min(Math.max(view.scale, bounds.least), bounds.most),
  };
}

/** @param {View} view @param {number} dx @param {number} dy pixels by which the picture moves */
export function panned(view, dx, dy) {
  return { ...view, x: view.x - dx / view.scale, y: view.y - dy / view.scale };
}

/**
 * Zoom by `factor` so that what lies under the screen point `at` stays there.
 *
 * @param {View} view @param {Size} size @param {Point} at @param {number} factor
 * @param {{least: number, most: number}} bounds
 * @returns {View}
 */
export function zoomedAt(view, size, at, factor, bounds) {
  const scale = Math.min(Math.max(view.scale * factor, bounds.least), bounds.most);
  const held = toWorld(view, size, at);
  const moved = toWorld({ ...view, scale }, size, at);
  return { x: view.x + held.x - moved.x, y: view.y + held.y - moved.y, scale };
}

/**
 * The view on the way from `a` to `b`, `share` from 0 to 1. What is at the end in the middle comes
 * closer in proportion to the scale, so that the way looks straight.
 *
 * @param {View} a @param {View} b @param {number} share @returns {View}
 */
export function between(a, b, share) {
  const scale = a.scale * (b.scale / a.scale) ** share;
  const close = Math.abs(b.scale / a.scale - 1) < 1e-3;
  const way = close ? share : (1 / a.scale - 1 / scale) / (1 / a.scale - 1 / b.scale);
  return { x: a.x + (b.x - a.x) * way, y: a.y + (b.y - a.y) * way, scale };
}

/**
 * The corners of what is seen, in cells.
 *
 * @param {View} view @param {Size} size
 */
export function seen(view, size) {
  const low = toWorld(view, size, { x: 0, y: 0 });
  const high = toWorld(view, size, { x: size.width, y: size.height });
  return { left: low.x, top: low.y, right: high.x, bottom: high.y };
}

/**
 * A view in words that mean the same in a window of another size: the middle, and how many cells
 * fit into the shorter side.
 *
 * @param {View} view @param {Size} size
 */
export function viewToText(view, size) {
  const across = Math.min(size.width, size.height) / view.scale;
  return [view.x, view.y, across].map((number) => Number(number.toFixed(3))).join(",");
}

/** @param {string} text @param {Size} size @returns {View | null} null for what is no view */
export function viewFromText(text, size) {
  const numbers = text.split(",").map((part) => (part.trim() === "" ? NaN : Number(part)));
  if (numbers.length !== 3 || !numbers.every(Number.isFinite) || numbers[2] <= 0) {
    return null;
  }
  const [x, y, across] = numbers;
  return { x, y, scale: Math.min(size.width, size.height) / across };
}
