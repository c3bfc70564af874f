// The map on a WebGL2 canvas. It knows pictures, places and marks, and nothing of the page.

import { Fetcher, Slots } from "./fetcher.js";
import {
  firstLevel,
  levelFor,
  overviewLevel,
  photoSide,
  tileCount,
  tileKey,
  tileOf,
  tilesIn,
} from "./pyramid.js";
import * as shaders from "./shaders.js";
import { seen } from "./zoom.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./zoom.js").View} View
 * @typedef {import("./zoom.js").Size} Size
 * @typedef {{view: View, size: Size, share: number, side: number, paper: number[],
 *   tintKind: 0 | 1 | 2, centres: Float32Array, front: number}} Frame what to draw: `share` eased,
 *   0 at the places and 1 at the cells; `side` of a photo in cells; `centres` float32[2n] of the
 *   photos; `front` a row that is drawn over the others, or -1
 * @typedef {{program: WebGLProgram, at: Record<string, WebGLUniformLocation | null>}} Program
 */

const LAYERS = 64; // tiles held on the graphics processor: 64 MiB
const SPARE = 8; // of them, for tiles of other levels that stand in
const PREVIEW_BYTES = 96 * 2 ** 20;
const MOST_CLOSE = 1024; // previews held there, if they are small
const CLOSE = 1.2; // times its side in the pyramid: a photo drawn larger comes from its preview

/** Draws one run. */
export class Renderer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Run} run
   * @param {() => void} changed called when a picture has arrived and a frame is due
   * @param {(error: unknown) => void} failed called when one did not
   */
  constructor(canvas, run, changed, failed) {
    const gl = canvas.getContext("webgl2", {
      alpha: true,
      antialias: false,
      depth: false,
      premultipliedAlpha: true,
      preserveDrawingBuffer: false,
    });
    if (!gl) {
      throw new NoWebGL("this browser shows no WebGL2");
    }
    this.gl = gl;
    this.canvas = canvas;
    this.run = run;
    this.mosaic = run.mosaic;
    this.changed = changed;
    const tileLimit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    if (Math.max(run.rows, run.columnsAcross) > tileLimit) {
      throw new NoWebGL(`this browser's WebGL has no room for ${run.rows} x ${run.columnsAcross}`);
    }
    this.tiles = new Slots(LAYERS);
    this.tileFetcher = new Fetcher((key, picture) => this.tileArrived(key, picture), failed);
    const stored = Math.max(run.manifest.preview, 1);
    this.previewSide = Math.min(2 ** Math.ceil(Math.log2(stored)), 2048, tileLimit);
    const room = Math.floor(PREVIEW_BYTES / (this.previewSide ** 2 * 4 * (4 / 3)));
    this.previews = new Slots(
      Math.min(Math.max(room, 12), MOST_CLOSE, gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS)));
    /** @type {Map<string, number>} the share of its layer that a preview takes */
    this.previewShare = new Map();
    this.previewFetcher = new Fetcher((key, picture) => this.previewArrived(key, picture), failed);
    /** @type {Uint8Array} */
    this.passes = new Uint8Array(run.count);
    this.seenRows = new Uint32Array(run.count);
    this.indices = new Uint32Array(6 * run.count);
    this.gpu = resources(gl, run);
    this.pageState = ""; // of the page table, which is written anew only when it changes
    this.arrived = 0; // tiles so far
  }

  /**
   * What marks the photos: `passes` and `selected` uint8[n]; `tints` RGBA uint8[4n] or null.
   *
   * @param {Uint8Array} passes @param {Uint8Array | null} selected
   * @param {Uint8Array | null} tints
   */
  mark(passes, selected, tints) {
    const { rows, columnsAcross, cells, count } = this.run;
    const marks = new Uint8Array(4 * rows * columnsAcross);
    const colours = new Uint8Array(4 * rows * columnsAcross);
    for (let row = 0; row < count; row++) {
      const at = 4 * cells[row];
      marks[at] = passes[row] ? 255 : 0;
      marks[at + 1] = selected?.[row] ? 255 : 0;
      marks[at + 2] = 255;
      if (tints) {
        colours.set(tints.subarray(4 * row, 4 * row + 4), at);
      }
    }
    this.passes = passes;
    this.markData = { marks, colours };
    this.uploadMarks();
  }

  uploadMarks() {
    if (!this.markData) {
      return;
    }
    const gl = this.gl;
    const { rows, columnsAcross } = this.run;
    gl.bindTexture(gl.TEXTURE_2D, this.gpu.marks);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, 0, columnsAcross, rows, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE,
      this.markData.marks,
    );
    gl.bindTexture(gl.TEXTURE_2D, this.gpu.tints);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, 0, columnsAcross, rows, gl.RGBA, gl.UNSIGNED_BYTE,
      this.markData.colours,
    );
  }

  /** Whether all that the last frame wanted is there. */
  get settled() {
    return this.tileFetcher.idle && this.previewFetcher.idle;
  }

  /** @param {Frame} frame */
  draw(frame) {
    const gl = this.gl;
    const ratio = this.canvas.width / Math.max(frame.size.width, 1);
    const pixels = frame.view.scale * frame.side * ratio;
    const atRest = frame.share === 1;
    const visible = atRest ? null : this.photosSeen(frame); // the last is drawn over the others
    const level = this.chooseTiles(frame, pixels, visible);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);

    const begin = (/** @type {Program} */ { program, at }) => {
      gl.useProgram(program);
      gl.uniform1i(at.layers, 0);
      gl.uniform1i(at.pages, 1);
      gl.uniform1i(at.tints, 2);
      gl.uniform1i(at.marks, 3);
      gl.uniform1i(at.previews, 4);
      gl.uniform1f(at.photoSide, photoSide(this.mosaic, level));
      gl.uniform1f(at.tileSide, this.mosaic.tile);
      gl.uniform1f(at.pixels, pixels);
      gl.uniform1f(at.tintKind, frame.tintKind);
      gl.uniform3fv(at.paper, frame.paper);
      gl.uniform2f(at.canvasSize, this.canvas.width, this.canvas.height);
      gl.uniform2f(at.middle, frame.view.x, frame.view.y);
      gl.uniform1f(at.scale, frame.view.scale * ratio);
      gl.uniform1f(at.side, frame.side);
      gl.uniform1f(at.share, frame.share);
    };
    bind(gl, 0, gl.TEXTURE_2D_ARRAY, this.gpu.layers);
    bind(gl, 1, gl.TEXTURE_2D, this.gpu.pages);
    bind(gl, 2, gl.TEXTURE_2D, this.gpu.tints);
    bind(gl, 3, gl.TEXTURE_2D, this.gpu.marks);
    bind(gl, 4, gl.TEXTURE_2D_ARRAY, this.gpu.previewLayers);

    if (atRest) {
      begin(this.gpu.board);
      gl.uniform2i(this.gpu.board.at.grid, this.run.columnsAcross, this.run.rows);
      gl.bindVertexArray(null);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    } else {
      begin(this.gpu.photos);
      this.drawPhotos(visible ?? new Uint32Array());
    }
    const close = this.photosClose(frame, pixels, visible);
    this.previewFetcher.want(
      Array.from(close)
        .filter((row) => this.previews.use(String(row)) < 0)
        .map((row) => ({ key: String(row), url: this.run.previewAddress(row) })),
    );
    this.drawPreviews(frame, close, begin);
    if (frame.front >= 0 && !atRest) {
      begin(this.gpu.photos);
      this.drawPhotos(Uint32Array.of(frame.front));
      this.drawPreviews(frame, Uint32Array.of(frame.front), begin);
    }
    gl.bindVertexArray(null);
  }

  /**
   * The rows whose photos are on the screen, those that pass the filter after the others.
   *
   * @param {Frame} frame
   * @returns {Uint32Array}
   */
  photosSeen(frame) {
    const box = seen(frame.view, frame.size);
    const half = frame.side / 2;
    const { centres } = frame;
    const { passes, seenRows: rows } = this;
    let [first, last] = [0, this.run.count]; // from the front: dimmed; from the end: the others
    for (let row = this.run.count - 1; row >= 0; row--) {
      const x = centres[2 * row];
      const y = centres[2 * row + 1];
      if (
        x > box.left - half && x < box.right + half && y > box.top - half && y < box.bottom + half
      ) {
        rows[passes[row] ? --last : first++] = row;
      }
    }
    rows.copyWithin(first, last, this.run.count);
    return rows.subarray(0, first + this.run.count - last);
  }

  /** @param {Uint32Array} rows in the order of drawing */
  drawPhotos(rows) {
    const gl = this.gl;
    gl.bindVertexArray(this.gpu.photoVertices);
    const indices = this.indices.subarray(0, 6 * rows.length);
    for (let index = 0; index < rows.length; index++) {
      const vertex = 4 * rows[index];
      const at = 6 * index;
      indices[at] = vertex;
      indices[at + 1] = indices[at + 3] = vertex + 1;
      indices[at + 2] = indices[at + 4] = vertex + 2;
      indices[at + 5] = vertex + 3;
    }
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, indices, gl.STREAM_DRAW);
    gl.drawElements(gl.TRIANGLES, indices.length, gl.UNSIGNED_INT, 0);
  }

  /**
   * Ask for the tiles of the frame and say in the page table where they are. Returns the level.
   *
   * @param {Frame} frame @param {number} pixels @param {Uint32Array | null} visible
   */
  chooseTiles(frame, pixels, visible) {
    const { mosaic } = this;
    let level = levelFor(mosaic, pixels);
    const first = Math.max(overviewLevel(mosaic), firstLevel(mosaic));
    // The overview stays: it stands in for all that is not there yet.
    const overview = tilesIn(mosaic, first, {
      left: 0, top: 0, right: mosaic.columns - 1, bottom: mosaic.rows - 1,
    }).slice(0, LAYERS / 2);
    let tiles = this.tilesSeen(frame, level, visible);
    while (tiles.length > LAYERS - SPARE - overview.length && level > firstLevel(mosaic)) {
      level -= 1;
      tiles = this.tilesSeen(frame, level, visible);
    }
    tiles = tiles.slice(0, LAYERS - SPARE - overview.length);
    const missing = [];
    for (const tile of [...overview, ...tiles]) {
      const key = tileKey(tile);
      if (this.tiles.use(key) < 0) {
        missing.push({ key, url: this.run.tileAddress(tile) });
      }
    }
    this.overviewKeys = new Set(overview.map(tileKey));
    this.tileFetcher.want(unique(missing));
    this.writePages(level, first);
    return level;
  }

  /**
   * @param {Frame} frame @param {number} level @param {Uint32Array | null} visible
   */
  tilesSeen(frame, level, visible) {
    if (!visible) {
      return tilesIn(this.mosaic, level, seen(frame.view, frame.size));
    }
    /** @type {Map<string, {tile: {level: number, column: number, row: number}, photos: number}>} */
    const found = new Map();
    for (const row of visible) {
      const tile = tileOf(this.mosaic, level, this.run.cells[row]);
      const key = tileKey(tile);
      const known = found.get(key);
      if (known) {
        known.photos += 1;
      } else {
        found.set(key, { tile, photos: 1 });
      }
    }
    return [...found.values()].sort((a, b) => b.photos - a.photos).map(({ tile }) => tile);
  }

  /**
   * @param {number} level @param {number} first the coarsest level that may stand in
   */
  writePages(level, first) {
    const gl = this.gl;
    const state = `${level} ${this.arrived}`;
    if (state === this.pageState) {
      return;
    }
    this.pageState = state;
    const count = tileCount(this.mosaic, level);
    const table = new Uint8Array(4 * count.columns * count.rows);
    const stands = (/** @type {number} */ column, /** @type {number} */ row) => {
      // Nearest first: the tile itself, coarser ones, and for small photos the overview.
      for (let up = 0; up === 0 || level - up >= first; up++) {
        const key = tileKey({ level: level - up, column: column >> up, row: row >> up });
        const slot = this.tiles.held.get(key);
        if (slot !== undefined) {
          return [slot, up + 16, 1, 0];
        }
      }
      const overview = level < first && this.tiles.held.get(tileKey({ level: first, column, row }));
      return typeof overview === "number" ? [overview, level - first + 16, 1, 0] : [0, 0, 0, 0];
    };
    // Tiles beyond the edge of the screen too, for photos that come in with the next movement.
    for (let row = 0; row < count.rows; row++) {
      for (let column = 0; column < count.columns; column++) {
        table.set(stands(column, row), 4 * (row * count.columns + column));
      }
    }
    gl.bindTexture(gl.TEXTURE_2D, this.gpu.pages);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.texImage2D(
      gl.TEXTURE_2D, 0, gl.RGBA8UI, count.columns, count.rows, 0, gl.RGBA_INTEGER,
      gl.UNSIGNED_BYTE, table,
    );
    sampling(gl, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
  }

  /** @param {string} key @param {ImageBitmap} picture */
  tileArrived(key, picture) {
    const gl = this.gl;
    const slot = this.tiles.take(key, this.overviewKeys?.has(key));
    this.changed(); // in any case, so that the map knows that nothing is on its way any more
    if (slot < 0 || gl.isContextLost()) {
      return;
    }
    gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.gpu.layers);
    gl.texSubImage3D(
      gl.TEXTURE_2D_ARRAY, 0, 0, 0, slot, picture.width, picture.height, 1, gl.RGBA,
      gl.UNSIGNED_BYTE, picture,
    );
    this.arrived += 1;
  }

  /**
   * The rows that are larger on the screen than in the pyramid, and so few that previews serve.
   *
   * @param {Frame} frame @param {number} pixels @param {Uint32Array | null} visible
   */
  photosClose(frame, pixels, visible) {
    if (!this.run.manifest.preview || pixels < this.mosaic.cell * CLOSE) {
      return new Uint32Array();
    }
    const rows = visible ?? this.photosInCells(seen(frame.view, frame.size));
    if (rows.length <= this.previews.count) {
      return rows;
    }
    // Not all of them find room: those in the middle are looked at.
    const away = (/** @type {number} */ row) => Math.hypot(
      frame.centres[2 * row] - frame.view.x, frame.centres[2 * row + 1] - frame.view.y);
    return rows.slice().sort((a, b) => away(a) - away(b)).subarray(0, this.previews.count);
  }

  /**
   * Draw those of `rows` whose previews are there.
   *
   * @param {Frame} frame @param {Uint32Array} rows @param {(program: Program) => void} begin
   */
  drawPreviews(frame, rows, begin) {
    const gl = this.gl;
    const ready = [];
    for (const row of rows) {
      const layer = this.previews.use(String(row));
      if (layer >= 0) {
        ready.push({ row, layer, share: this.previewShare.get(String(row)) ?? 1 });
      }
    }
    if (!ready.length) {
      return;
    }
    const centre = new Float32Array(8 * ready.length);
    const cell = new Uint16Array(8 * ready.length);
    const store = new Float32Array(8 * ready.length);
    ready.forEach(({ row, layer, share }, index) => {
      cell.set(this.gpu.cellsAt.subarray(8 * row, 8 * row + 8), 8 * index);
      for (let vertex = 4 * index; vertex < 4 * index + 4; vertex++) {
        centre.set(frame.centres.subarray(2 * row, 2 * row + 2), 2 * vertex);
        store.set([layer, share], 2 * vertex);
      }
    });
    begin(this.gpu.nearby);
    gl.uniform1f(this.gpu.nearby.at.previewSide, this.previewSide);
    gl.bindVertexArray(this.gpu.closeVertices);
    for (const [target, data] of /** @type {const} */ ([
      [this.gpu.closeBuffers.centre, centre],
      [this.gpu.closeBuffers.cell, cell],
      [this.gpu.closeBuffers.store, store],
    ])) {
      gl.bindBuffer(gl.ARRAY_BUFFER, target);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STREAM_DRAW);
    }
    gl.drawElements(gl.TRIANGLES, 6 * ready.length, gl.UNSIGNED_SHORT, 0);
  }

  /**
   * The photos in the cells of a rectangle.
   *
   * @param {{left: number, top: number, right: number, bottom: number}} box
   */
  photosInCells(box) {
    const { rows, columnsAcross, occupant } = this.run;
    const found = [];
    const last = { row: Math.round(box.bottom), column: Math.round(box.right) };
    for (let row = Math.max(0, Math.round(box.top)); row <= Math.min(rows - 1, last.row); row++) {
      for (
        let column = Math.max(0, Math.round(box.left));
        column <= Math.min(columnsAcross - 1, last.column);
        column++
      ) {
        const photo = occupant[row * columnsAcross + column];
        if (photo >= 0) {
          found.push(photo);
        }
      }
    }
    return Uint32Array.from(found);
  }

  /** @param {string} key @param {ImageBitmap} picture */
  previewArrived(key, picture) {
    const gl = this.gl;
    const slot = this.previews.take(key);
    this.changed();
    if (slot < 0 || gl.isContextLost()) {
      return;
    }
    const side = this.previewSide;
    const levels = 1 + Math.min(3, Math.log2(side));
    if (!this.gpu.previewLayers) {
      this.gpu.previewLayers = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.gpu.previewLayers);
      gl.texStorage3D(gl.TEXTURE_2D_ARRAY, levels, gl.RGBA8, side, side, this.previews.count);
      sampling(gl, gl.TEXTURE_2D_ARRAY, gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR);
    }
    const share = Math.min(1, Math.max(picture.width, picture.height) / side);
    this.previewShare.set(key, share);
    // The smaller forms are drawn by a canvas, since WebGL can only make those of all layers.
    for (let level = 0; level < levels; level++) {
      const wanted = Math.max(1, Math.round((share * side) / 2 ** level));
      const form = level === 0 && picture.width === wanted ? picture : shrunk(picture, wanted);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.gpu.previewLayers);
      gl.texSubImage3D(
        gl.TEXTURE_2D_ARRAY, level, 0, 0, slot, wanted, wanted, 1, gl.RGBA, gl.UNSIGNED_BYTE, form,
      );
    }
  }

  /** Start over after the browser took the graphics processor away and gave it back. */
  restore() {
    this.tiles.clear();
    this.previews.clear();
    this.gpu = resources(this.gl, this.run);
    this.pageState = "";
    this.uploadMarks();
    this.changed();
  }

  end() {
    this.tileFetcher.close();
    this.previewFetcher.close();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/** The browser cannot draw the map; its message says what is missing. */
export class NoWebGL extends Error {}

/**
 * What is kept on the graphics processor.
 *
 * @param {WebGL2RenderingContext} gl @param {Run} run
 */
function resources(gl, run) {
  const { rows, columnsAcross, cells, places, count } = run;
  const layers = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D_ARRAY, layers);
  const side = run.mosaic.tile;
  gl.texStorage3D(gl.TEXTURE_2D_ARRAY, 1, gl.RGBA8, side, side, LAYERS);
  sampling(gl, gl.TEXTURE_2D_ARRAY, gl.LINEAR, gl.LINEAR);
  const [tints, marks] = [gl.RGBA8, gl.RGBA8UI].map((format) => {
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, columnsAcross, rows);
    sampling(gl, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
    return texture;
  });
  const cellsAt = new Uint16Array(8 * count); // the same for the four vertices of a photo
  const placesAt = new Float32Array(8 * count);
  for (let vertex = 0; vertex < 4 * count; vertex++) {
    const row = vertex >> 2;
    cellsAt[2 * vertex] = cells[row] % columnsAcross;
    cellsAt[2 * vertex + 1] = Math.floor(cells[row] / columnsAcross);
    placesAt[2 * vertex] = places[2 * row];
    placesAt[2 * vertex + 1] = places[2 * row + 1];
  }
  const photoVertices = gl.createVertexArray();
  gl.bindVertexArray(photoVertices);
  attribute(gl, buffer(gl, placesAt), 0, gl.FLOAT);
  attribute(gl, buffer(gl, cellsAt), 1, gl.UNSIGNED_SHORT);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  const closeBuffers = {
    centre: gl.createBuffer(),
    cell: gl.createBuffer(),
    store: gl.createBuffer(),
  };
  const closeVertices = gl.createVertexArray();
  gl.bindVertexArray(closeVertices);
  attribute(gl, closeBuffers.centre, 0, gl.FLOAT);
  attribute(gl, closeBuffers.cell, 1, gl.UNSIGNED_SHORT);
  attribute(gl, closeBuffers.store, 2, gl.FLOAT);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  const corners = Array.from({ length: MOST_CLOSE }, (_, index) =>
    [0, 1, 2, 1, 2, 3].map((corner) => 4 * index + corner));
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(corners.flat()), gl.STATIC_DRAW);
  gl.bindVertexArray(null);
  return {
    board: program(gl, shaders.BOARD_VERTEX, shaders.BOARD_FRAGMENT),
    photos: program(gl, shaders.PHOTOS_VERTEX, shaders.PHOTOS_FRAGMENT),
    nearby: program(gl, shaders.PREVIEWS_VERTEX, shaders.PREVIEWS_FRAGMENT),
    layers,
    pages: gl.createTexture(),
    tints,
    marks,
    cellsAt,
    photoVertices,
    closeBuffers,
    closeVertices,
    // Made when the first preview arrives, since many never look so close.
    previewLayers: /** @type {WebGLTexture | null} */ (null),
  };
}

/** @param {{key: string, url: string}[]} items */
function unique(items) {
  return [...new Map(items.map((item) => [item.key, item])).values()];
}

/** @type {OffscreenCanvasRenderingContext2D | null} */
let table = null;

/**
 * A picture scaled to a square, as plain pixels: made by the processor, since to fetch them from a
 * canvas of the graphics processor makes both wait.
 *
 * @param {ImageBitmap} picture @param {number} side
 */
function shrunk(picture, side) {
  table ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  if (!table) {
    throw new Error("no canvas");
  }
  table.canvas.width = table.canvas.height = side;
  table.imageSmoothingQuality = "high";
  table.drawImage(picture, 0, 0, side, side);
  return table.getImageData(0, 0, side, side);
}

/**
 * @param {WebGL2RenderingContext} gl @param {string} vertex @param {string} fragment
 * @returns {Program}
 */
function program(gl, vertex, fragment) {
  const made = gl.createProgram();
  for (const [kind, source] of /** @type {const} */ ([
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ])) {
    const shader = gl.createShader(kind);
    if (!shader) {
      throw new NoWebGL("the browser's WebGL was lost");
    }
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(made, shader);
    gl.deleteShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(`shader: ${gl.getShaderInfoLog(shader)}`);
    }
  }
  gl.linkProgram(made);
  if (!gl.getProgramParameter(made, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`program: ${gl.getProgramInfoLog(made)}`);
  }
  /** @type {Record<string, WebGLUniformLocation | null>} */
  const at = {};
  const count = gl.getProgramParameter(made, gl.ACTIVE_UNIFORMS) ?? 0;
  for (let index = 0; index < count; index++) {
    const info = gl.getActiveUniform(made, index);
    if (info) {
      at[info.name] = gl.getUniformLocation(made, info.name);
    }
  }
  return { program: made, at };
}

/** @param {WebGL2RenderingContext} gl @param {Float32Array | Uint16Array} data */
function buffer(gl, data) {
  const made = gl.createBuffer();
  gl.bindBuffer(gl.ARRAY_BUFFER, made);
  gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
  return made;
}

/**
 * Two numbers for each vertex.
 *
 * @param {WebGL2RenderingContext} gl @param {WebGLBuffer | null} from @param {number} location
 * @param {number} type
 */
function attribute(gl, from, location, type) {
  gl.bindBuffer(gl.ARRAY_BUFFER, from);
  gl.enableVertexAttribArray(location);
  if (type === gl.FLOAT) {
    gl.vertexAttribPointer(location, 2, type, false, 0, 0);
  } else {
    gl.vertexAttribIPointer(location, 2, type, 0, 0);
  }
}

/**
 * @param {WebGL2RenderingContext} gl @param {number} target @param {number} less
 * @param {number} more
 */
function sampling(gl, target, less, more) {
  gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, less);
  gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, more);
  gl.texParameteri(target, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
  gl.texParameteri(target, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
}

/**
 * @param {WebGL2RenderingContext} gl @param {number} unit @param {number} target
 * @param {WebGLTexture | null} texture
 */
function bind(gl, unit, target, texture) {
  gl.activeTexture(gl.TEXTURE0 + unit);
  gl.bindTexture(target, texture);
}
