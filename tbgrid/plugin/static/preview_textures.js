// The previews of photos seen from close by, in video memory, each in a layer of its own.

import { createProgram, enableAttribute, setSampling } from "./gl_helpers.js";
import { LruSlots } from "./lru_slots.js";
import { PictureFetcher } from "./picture_fetcher.js";
import { PREVIEWS_FRAGMENT, PREVIEWS_VERTEX } from "./shaders.js";
import { visibleBounds } from "./viewport.js";
import { findPhotosInCells } from "./visible_photos.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./gl_helpers.js").Program} Program
 * @typedef {import("./renderer.js").Frame} Frame
 */

const MAX_BYTES = 96 * 2 ** 20; // of video memory
const MAX_PREVIEWS = 1024; // however small they are
const MIN_PREVIEWS = 12; // however large they are
const MAX_SIDE = 2048; // px of a layer
const MIN_MAGNIFICATION = 1.2; // relative to the mosaic: from here on a photo's preview is drawn

export class PreviewTextures {
  /**
   * @param {WebGL2RenderingContext} gl @param {Run} run
   * @param {Uint16Array} vertexCells the cell (column, row) of each photo for its four vertices
   * @param {() => void} onLoad called when a preview has arrived
   * @param {(error: unknown) => void} onError called when one could not be fetched
   */
  constructor(gl, run, vertexCells, onLoad, onError) {
    this.gl = gl;
    this.run = run;
    this.vertexCells = vertexCells;
    this.onLoad = onLoad;
    const stored = Math.max(run.manifest.preview, 1);
    const maxTextureSize = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    this.side = Math.min(2 ** Math.ceil(Math.log2(stored)), MAX_SIDE, maxTextureSize);
    const room = Math.floor(MAX_BYTES / (this.side ** 2 * 4 * (4 / 3)));
    this.slots = new LruSlots(Math.min(
      Math.max(room, MIN_PREVIEWS), MAX_PREVIEWS, gl.getParameter(gl.MAX_ARRAY_TEXTURE_LAYERS)));
    /** @type {Map<string, number>} how much of its layer's side each preview fills */
    this.fillRatios = new Map();
    this.fetcher = new PictureFetcher((key, picture) => this.upload(key, picture), onError);
    /** @type {WebGLTexture | null} created with the first preview, since many never zoom in */
    this.layers = null;
    this.resources = createResources(gl);
  }

  /** Whether every preview that the last frame needed has arrived. */
  get idle() {
    return this.fetcher.idle;
  }

  /**
   * The rows that are drawn larger than in the mosaic, at most as many as there are layers.
   *
   * @param {Frame} frame @param {number} pixels @param {Uint32Array | null} visibleRows null: on
   *   the grid, where they follow from the bounds
   */
  selectRows(frame, pixels, visibleRows) {
    if (!this.run.manifest.preview || pixels < this.run.mosaic.cell * MIN_MAGNIFICATION) {
      return new Uint32Array();
    }
    const rows = visibleRows
      ?? findPhotosInCells(this.run, visibleBounds(frame.view, frame.size));
    if (rows.length <= this.slots.capacity) {
      return rows;
    }
    // There is no room for all of them: the user looks at those nearest to the middle.
    const distance = (/** @type {number} */ row) => Math.hypot(
      frame.centres[2 * row] - frame.view.x, frame.centres[2 * row + 1] - frame.view.y);
    return rows.slice().sort((a, b) => distance(a) - distance(b)).subarray(0, this.slots.capacity);
  }

  /** Fetch the previews of these rows that are missing. @param {Uint32Array} rows */
  request(rows) {
    this.fetcher.request(
      Array.from(rows)
        .filter((row) => this.slots.touch(String(row)) < 0)
        .map((row) => ({ key: String(row), url: this.run.previewAddress(row) })),
    );
  }

  /**
   * Draw those of `rows` whose previews have arrived.
   *
   * @param {Frame} frame @param {Uint32Array} rows @param {(program: Program) => void} use makes a
   *   program current and sets the uniforms that all programs share
   */
  draw(frame, rows, use) {
    const { gl } = this;
    const { program, buffers, vertexArray } = this.resources;
    const ready = [];
    for (const row of rows) {
      const layer = this.slots.touch(String(row));
      if (layer >= 0) {
        ready.push({ row, layer, fillRatio: this.fillRatios.get(String(row)) ?? 1 });
      }
    }
    if (!ready.length) {
      return;
    }
    const centres = new Float32Array(8 * ready.length);
    const cells = new Uint16Array(8 * ready.length);
    const layers = new Float32Array(8 * ready.length);
    ready.forEach(({ row, layer, fillRatio }, index) => {
      cells.set(this.vertexCells.subarray(8 * row, 8 * row + 8), 8 * index);
      for (let vertex = 4 * index; vertex < 4 * index + 4; vertex++) {
        centres.set(frame.centres.subarray(2 * row, 2 * row + 2), 2 * vertex);
        layers.set([layer, fillRatio], 2 * vertex);
      }
    });
    use(program);
    gl.uniform1f(program.uniforms.previewSide, this.side);
    gl.bindVertexArray(vertexArray);
    for (const [buffer, data] of /** @type {const} */ ([
      [buffers.centres, centres],
      [buffers.cells, cells],
      [buffers.layers, layers],
    ])) {
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STREAM_DRAW);
    }
    gl.drawElements(gl.TRIANGLES, 6 * ready.length, gl.UNSIGNED_SHORT, 0);
  }

  /** @param {string} key @param {ImageBitmap} picture */
  upload(key, picture) {
    const { gl, side } = this;
    const slot = this.slots.allocate(key);
    this.onLoad();
    if (slot < 0 || gl.isContextLost()) {
      return;
    }
    const levels = 1 + Math.min(3, Math.log2(side));
    if (!this.layers) {
      this.layers = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.layers);
      gl.texStorage3D(gl.TEXTURE_2D_ARRAY, levels, gl.RGBA8, side, side, this.slots.capacity);
      setSampling(gl, gl.TEXTURE_2D_ARRAY, gl.LINEAR_MIPMAP_LINEAR, gl.LINEAR);
    }
    const fillRatio = Math.min(1, Math.max(picture.width, picture.height) / side);
    this.fillRatios.set(key, fillRatio);
    // The smaller mipmap levels are drawn by a canvas, since WebGL can only generate those of all
    // layers at once.
    for (let level = 0; level < levels; level++) {
      const size = Math.max(1, Math.round((fillRatio * side) / 2 ** level));
      const image = level === 0 && picture.width === size ? picture : scalePicture(picture, size);
      gl.bindTexture(gl.TEXTURE_2D_ARRAY, this.layers);
      gl.texSubImage3D(
        gl.TEXTURE_2D_ARRAY, level, 0, 0, slot, size, size, 1, gl.RGBA, gl.UNSIGNED_BYTE, image,
      );
    }
  }

  /** Start over with the resources of a restored context. */
  restore() {
    this.slots.clear();
    this.layers = null;
    this.resources = createResources(this.gl);
  }

  destroy() {
    this.fetcher.close();
  }
}

/** @param {WebGL2RenderingContext} gl */
function createResources(gl) {
  const buffers = {
    centres: gl.createBuffer(),
    cells: gl.createBuffer(),
    layers: gl.createBuffer(),
  };
  const vertexArray = gl.createVertexArray();
  gl.bindVertexArray(vertexArray);
  enableAttribute(gl, buffers.centres, 0, gl.FLOAT);
  enableAttribute(gl, buffers.cells, 1, gl.UNSIGNED_SHORT);
  enableAttribute(gl, buffers.layers, 2, gl.FLOAT);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  const corners = Array.from({ length: MAX_PREVIEWS }, (_, index) =>
    [0, 1, 2, 1, 2, 3].map((corner) => 4 * index + corner));
  gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, new Uint16Array(corners.flat()), gl.STATIC_DRAW);
  gl.bindVertexArray(null);
  return { program: createProgram(gl, PREVIEWS_VERTEX, PREVIEWS_FRAGMENT), buffers, vertexArray };
}

/** @type {OffscreenCanvasRenderingContext2D | null} */
let scratch = null;

/**
 * A picture scaled to a square, as plain pixels. It is drawn by the CPU: reading the pixels back
 * from a canvas on the GPU would make both wait.
 *
 * @param {ImageBitmap} picture @param {number} side
 */
function scalePicture(picture, side) {
  scratch ??= new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  if (!scratch) {
    throw new Error("this browser cannot draw on a canvas");
  }
  scratch.canvas.width = scratch.canvas.height = side;
  scratch.imageSmoothingQuality = "high";
  scratch.drawImage(picture, 0, 0, side, side);
  return scratch.getImageData(0, 0, side, side);
}
