// A small picture of a photo, cut from a tile of the pyramid that is there already.

import { element } from "./dom.js";
import { cornerInTile, lastLevel, levelFor, photoSide, tileCount, tileOf } from "./pyramid.js";

/**
 * @param {import("./data.js").Run} run @param {number} row @param {number} side in CSS pixels
 * @returns {HTMLElement}
 */
export function thumbnail(run, row, side) {
  const { mosaic } = run;
  const level = Math.min(levelFor(mosaic, side * (devicePixelRatio || 1)), lastLevel(mosaic));
  const tile = tileOf(mosaic, level, run.cells[row]);
  const corner = cornerInTile(mosaic, level, run.cells[row]);
  const scale = side / photoSide(mosaic, level);
  // Tiles at the right and lower edge are smaller than the others.
  const count = tileCount(mosaic, level);
  const whole = photoSide(mosaic, level) * mosaic.columns;
  const width = tile.column === count.columns - 1 ? whole - tile.column * mosaic.tile : mosaic.tile;
  const made = element("span", { class: "thumbnail", "aria-hidden": "true" });
  made.style.width = made.style.height = `${side}px`;
  made.style.backgroundImage = `url("${run.tileAddress(tile)}")`;
  made.style.backgroundSize = `${width * scale}px auto`;
  made.style.backgroundPosition = `${-corner.x * scale}px ${-corner.y * scale}px`;
  return made;
}
