// The keys of a map that has the focus.

/** @typedef {import("./map_view.js").MapView} MapView */

const PAN_STEP = 60; // px of the canvas per press of an arrow key
const ZOOM_STEP = 1.5;

/** @type {ReadonlyMap<string, readonly [number, number]>} */
const DIRECTIONS = new Map([
  ["ArrowLeft", [-1, 0]],
  ["ArrowRight", [1, 0]],
  ["ArrowUp", [0, -1]],
  ["ArrowDown", [0, 1]],
]);

/** @type {ReadonlyMap<string, number>} */
const ZOOM_FACTORS = new Map([
  ["+", ZOOM_STEP],
  ["=", ZOOM_STEP],
  ["-", 1 / ZOOM_STEP],
  ["_", 1 / ZOOM_STEP],
]);

/**
 * @param {MapView} map @param {{key: string, shiftKey: boolean}} event
 * @returns {boolean} whether the key has a meaning for a map
 */
export function handleMapKey(map, { key, shiftKey }) {
  if (key === "Escape") {
    return map.pointer.cancelStroke();
  }
  const direction = DIRECTIONS.get(key);
  if (direction) {
    const [dx, dy] = direction;
    if (shiftKey) {
      map.pan(-dx * PAN_STEP, -dy * PAN_STEP);
    } else {
      moveFocus(map, dx, dy);
    }
    return true;
  }
  const factor = ZOOM_FACTORS.get(key);
  if (factor) {
    map.zoom({ x: map.size.width / 2, y: map.size.height / 2 }, factor);
    return true;
  }
  if (key === "0" || key === "Home") {
    map.showAll();
    return true;
  }
  if ((key === "Enter" || key === " ") && map.hoveredRow >= 0) {
    map.listener.onPin(map.hoveredRow);
    return true;
  }
  return false;
}

/** To the next photo in a direction. @param {MapView} map @param {number} dx @param {number} dy */
function moveFocus(map, dx, dy) {
  const from = map.hoveredRow >= 0 ? map.hoveredRow : map.pinnedRow;
  const row = from < 0 ? map.middlePhoto() : map.photoBeside(from, dx, dy);
  if (row >= 0) {
    map.hover(row, null);
    map.lookAt(row);
  }
}
