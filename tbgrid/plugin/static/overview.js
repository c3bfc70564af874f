// The whole map as one small picture, shown until the map itself covers it.

import { firstLevel, overviewLevel, tilesIn } from "./pyramid.js";
import { address } from "./server.js";

/**
 * @param {import("./server.js").Listed} listed
 * @returns {HTMLImageElement | null} null for a broken run, or one too large for a single tile
 */
export function createOverview({ run, export: fingerprint, grid, cell, tile, error }) {
  if (error !== null || !fingerprint || !grid || !cell || !tile) {
    return null;
  }
  const mosaic = { rows: grid[0], columns: grid[1], cell, tile };
  const level = Math.max(overviewLevel(mosaic), firstLevel(mosaic));
  const all = { left: 0, top: 0, right: mosaic.columns, bottom: mosaic.rows };
  const tiles = tilesIn(mosaic, level, all);
  if (tiles.length > 1) {
    return null;
  }
  const picture = new Image();
  picture.className = "overview";
  picture.alt = "";
  picture.src = address("tile", { run, export: fingerprint, ...tiles[0] });
  return picture;
}
