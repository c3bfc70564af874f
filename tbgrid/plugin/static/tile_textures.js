// The tiles of the pyramid in video memory, and the page table that says where each of them is.

import { setSampling } from "./gl_helpers.js";
import { LruSlots } from "./lru_slots.js";
import { PictureFetcher } from "./picture_fetcher.js";
import { firstLevel, levelFor, overviewLevel, tileCount, tileKey, tileOf, tilesIn }
  from "./pyramid.js";
import { visibleBounds } from "./viewport.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./pyramid.js").Tile} Tile
 * @typedef {import("./renderer.js").Frame} Frame
 */

const MAX_TILES = 64; // held in video memory: 64 MiB
const SPARE_TILES = 8; // of these, for tiles of other levels that stand in

export class TileTextures {
  /**
   * @param {WebGL2RenderingContext} gl @param {Run} run
   * @param {() => void} onLoad called when a tile has arrived
   * @param {(error: unknown) => void} onError called when one could not be fetched
   */
  constructor(gl, run, onLoad, onError) {
    this.gl = gl;
    this.run = run;
    this.mosaic = run.mosaic;
    this.onLoad = onLoad;
    this.slots = new LruSlots(MAX_TILES);
    this.fetcher = new PictureFetcher((key, picture) => this.upload(key, picture), onError);
    /** @type {Set<string>} keys of the tiles that are never evicted */
    this.overviewKeys = new Set();
    this.uploads = 0;
    this.pageState = ""; // what the page table was written for; it is rewritten when that changes
    this.textures = createTextures(gl, this.mosaic.tile);
  }

  /** Whether every tile that the last frame needed has arrived. */
  get idle() {
    return this.fetcher.idle;
  }

  /**
   * Choose the level for a frame, fetch its missing tiles and update the page table.
   *
   * @param {Frame} frame @param {number} pixels @param {Uint32Array | null} visibleRows null: on
   *   the grid, where the tiles follow from the bounds
   * @returns {number} the level
   */
  prepare(frame, pixels, visibleRows) {
    const { mosaic } = this;
    let level = levelFor(mosaic, pixels);
    const first = Math.max(overviewLevel(mosaic), firstLevel(mosaic));
    // The overview is kept: it stands in for everything that has not arrived yet.
    const overview = tilesIn(mosaic, first, {
      left: 0, top: 0, right: mosaic.columns - 1, bottom: mosaic.rows - 1,
    }).slice(0, MAX_TILES / 2);
    const room = MAX_TILES - SPARE_TILES - overview.length;
    let tiles = this.listVisibleTiles(frame, level, visibleRows);
    while (tiles.length > room && level > firstLevel(mosaic)) {
      level -= 1;
      tiles = this.listVisibleTiles(frame, level, visibleRows);
    }
    /** @type {Map<string, {key: string, url: string}>} */
    const missing = new Map();
    for (const tile of [...overview, ...tiles.slice(0, room)]) {
      const key = tileKey(tile);
      if (this.slots.touch(key) < 0) {
        missing.set(key, { key, url: this.run.tileAddress(tile) });
      }
    }
    this.overviewKeys = new Set(overview.map(tileKey));
    this.fetcher.request([...missing.values()]);
    this.writePageTable(level, first);
    return level;
  }

  /**
   * The tiles of a level that a frame needs, the most important first.
   *
   * @param {Frame} frame @param {number} level @param {Uint32Array | null} visibleRows
   * @returns {Tile[]}
   */
  listVisibleTiles(frame, level, visibleRows) {
    if (!visibleRows) {
      return tilesIn(this.mosaic, level, visibleBounds(frame.view, frame.size));
    }
    /** @type {Map<string, {tile: Tile, photos: number}>} */
    const counted = new Map();
    for (const row of visibleRows) {
      const tile = tileOf(this.mosaic, level, this.run.cells[row]);
      const key = tileKey(tile);
      const entry = counted.get(key);
      if (entry) {
        entry.photos += 1;
      } else {
        counted.set(key, { tile, photos: 1 });
      }
    }
    return [...counted.values()].sort((a, b) => b.photos - a.photos).map(({ tile }) => tile);
  }

  /**
   * Write for each tile of a level where it is, or what stands in for it.
   *
   * @param {number} level @param {number} first the coarsest level that may stand in
   */
  writePageTable(level, first) {
    const { gl } = this;
    const state = `${level} ${this.uploads}`;
    if (state === this.pageState) {
      return;
    }
    this.pageState = state;
    const count = tileCount(this.mosaic, level);
    const table = new Uint8Array(4 * count.columns * count.rows);
    // Tiles beyond the edge of the screen too, for photos that come in with the next movement.
    for (let row = 0; row < count.rows; row++) {
      for (let column = 0; column < count.columns; column++) {
        const entry = this.findPage({ level, column, row }, first);
        table.set(entry, 4 * (row * count.columns + column));
      }
    }
    gl.bindTexture(gl.TEXTURE_2D, this.textures.pages);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.texImage2D(
      gl.TEXTURE_2D, 0, gl.RGBA8UI, count.columns, count.rows, 0, gl.RGBA_INTEGER,
      gl.UNSIGNED_BYTE, table,
    );
    setSampling(gl, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
  }

  /**
   * A tile's entry in the page table: layer, levels coarser + 16, 1 if there is anything, unused.
   * The tile itself comes first, then coarser ones, and for small photos the overview.
   *
   * @param {Tile} tile @param {number} first the coarsest level that may stand in
   */
  findPage({ level, column, row }, first) {
    for (let up = 0; up === 0 || level - up >= first; up++) {
      const key = tileKey({ level: level - up, column: column >> up, row: row >> up });
      const slot = this.slots.peek(key);
      if (slot >= 0) {
        return [slot, up + 16, 1, 0];
      }
    }
    const slot = level < first ? this.slots.peek(tileKey({ level: first, column, row })) : -1;
    return slot >= 0 ? [slot, level - first + 16, 1, 0] : [0, 0, 0, 0];
  }

  /** @param {string} key @param {ImageBitmap} picture */
  upload(key, picture) {
    const { gl } = this;
    const slot = this.slots.allocate(key, this.overviewKeys.has(key));
    this.onLoad(); // in any case, so that the map notices that nothing is in flight any more
    if (slot < 0 || gl.isContextLost()) {
      return;
    }
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.textures.layers);
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY, 0, 0, 0, slot, picture.width, picture.height, 1, gl.RGBA,
      gl.UNSIGNED_BYTE, picture,
    );
    this.uploads += 1;
  }

  /** Start over with the textures of a restored context. */
  restore() {
    this.slots.clear();
    this.textures = createTextures(this.gl, this.mosaic.tile);
    this.pageState = "";
  }

  destroy() {
    this.fetcher.close();
  }
}

/** @param {WebGL2RenderingContext} gl @param {number} side of a tile in pixels */
function createTextures(gl, side) {
  const layers = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, layers);
  gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA8, side, side, MAX_TILES);
  setSampling(gl, gl.TEXTURE_2D_ARRAY, gl.LINEAR, gl.LINEAR);
  return { layers, pages: gl.createTexture() };
}
