// Which photos lie in a lasso, a polygon drawn by hand.

import { boundingBox, contains } from "./geometry.js";

/** @typedef {import("./geometry.js").Rectangle} Rectangle */

/** Horizontal bands that a lasso is cut into. */
const BANDS = 64;

/** @param {ArrayLike<number | number[]>} polygon points, or x0, y0, x1, y1, ... */
function flattenPolygon(polygon) {
  return Float64Array.from(Array.from(polygon).flat());
}

/**
 * Whether all points lie on one line, so that only rounding would decide what is inside.
 * @param {Float64Array} points
 */
function isCollinear(points) {
  const [x, y] = points;
  let [farX, farY] = [0, 0];
  for (let i = 2; i < points.length; i += 2) {
    if (Math.hypot(points[i] - x, points[i + 1] - y) > Math.hypot(farX, farY)) {
      [farX, farY] = [points[i] - x, points[i + 1] - y];
    }
  }
  const tolerance = 1e-12 * (farX * farX + farY * farY);
  for (let i = 2; i < points.length; i += 2) {
    if (Math.abs((points[i] - x) * farY - (points[i + 1] - y) * farX) > tolerance) {
      return false;
    }
  }
  return true;
}

/**
 * A polygon's edges as upper x, upper y, lower x, lower y. They always run from top to bottom, so
 * that an edge drawn there and back appears twice with the same numbers and cancels out exactly.
 * @param {Float64Array} points
 */
function listEdges(points) {
  const edges = [];
  for (let i = 0; i < points.length; i += 2) {
    const next = (i + 2) % points.length;
    const start = [points[i], points[i + 1]];
    const end = [points[next], points[next + 1]];
    if (start[1] !== end[1]) {
      edges.push(start[1] < end[1] ? [...start, ...end] : [...end, ...start]);
    }
  }
  return Float64Array.from(edges.flat());
}

/**
 * The offsets of the edges in each of BANDS bands of a box, from top to bottom. A lasso drawn by
 * hand has a thousand edges; a photo needs to be compared only with those at its own height.
 * @param {Float64Array} edges
 * @param {Rectangle} box
 */
function sortEdgesIntoBands(edges, box) {
  const bands = Array.from({ length: BANDS }, () => /** @type {number[]} */ ([]));
  for (let i = 0; i < edges.length; i += 4) {
    for (let band = bandOf(edges[i + 1], box); band <= bandOf(edges[i + 3], box); band++) {
      bands[band].push(i);
    }
  }
  return bands;
}

/**
 * @param {number} y
 * @param {Rectangle} box
 */
function bandOf(y, { top, bottom }) {
  return Math.min(BANDS - 1, Math.floor(((y - top) / (bottom - top)) * BANDS));
}

/**
 * Whether a ray from the point to the right crosses an odd number of edges.
 * @param {Float64Array} edges
 * @param {number[]} candidates offsets in `edges` of those that may be crossed
 * @param {number} x
 * @param {number} y
 */
function isInside(edges, candidates, x, y) {
  let inside = false;
  for (const i of candidates) {
    const top = edges[i + 1];
    const bottom = edges[i + 3];
    if (y >= top && y < bottom) {
      const t = (y - top) / (bottom - top);
      inside = x < edges[i] + t * (edges[i + 2] - edges[i]) ? !inside : inside;
    }
  }
  return inside;
}

/**
 * A mask of the photos whose centres lie in a polygon, by the even-odd rule: a loop within a loop
 * is a hole.
 * @param {ArrayLike<number | number[]>} polygon points, or x0, y0, x1, y1, ...
 * @param {ArrayLike<number>} centres
 * @param {number} n
 */
export function photosInLasso(polygon, centres, n) {
  const mask = new Uint8Array(n);
  const points = flattenPolygon(polygon);
  const isValid = points.length % 2 === 0 && points.every(Number.isFinite);
  if (!isValid || points.length < 6 || isCollinear(points)) {
    return mask;
  }
  const box = boundingBox(points);
  const edges = listEdges(points);
  const bands = sortEdgesIntoBands(edges, box);
  for (let row = 0; row < n; row++) {
    const x = centres[2 * row];
    const y = centres[2 * row + 1];
    const inside = contains(box, x, y) && isInside(edges, bands[bandOf(y, box)], x, y);
    mask[row] = inside ? 1 : 0;
  }
  return mask;
}

