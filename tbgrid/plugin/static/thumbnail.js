// A small picture of a photo, cut from a tile of the pyramid.

import { createElement } from "./dom.js";
import { cornerInTile, lastLevel, levelFor, photoSide, tileCount, tileOf } from "./pyramid.js";

/**
 * @param {import("./data.js").Run} run @param {number} row @param {number} side in CSS pixels
 * @returns {HTMLElement}
 */
export function createThumbnail(run, row, side) {
  const { mosaic } = run;
  const level = Math.min(levelFor(mosaic, side * (devicePixelRatio || 1)), lastLevel(mosaic));
  const tile = tileOf(mosaic, level, run.cells[row]);
  const corner = cornerInTile(mosaic, level, run.cells[row]);
  const scale = side / photoSide(mosaic, level);
  // Tiles at the right and lower edge are smaller than the others.
  const count = tileCount(mosaic, level);
  const mosaicWidth = photoSide(mosaic, level) * mosaic.columns;
  const width = tile.column === count.columns - 1
    ? mosaicWidth - tile.column * mosaic.tile : mosaic.tile;
  const el = createElement("span", { class: "thumbnail", "aria-hidden": "true" });
  el.style.width = el.style.height = `${side}px`;
  el.style.backgroundImage = `url("${run.tileAddress(tile)}")`;
  el.style.backgroundSize = `${width * scale}px auto`;
  el.style.backgroundPosition = `${-corner.x * scale}px ${-corner.y * scale}px`;
  return el;
}
