// The map on a WebGL2 canvas. It knows pictures, positions and marks, and nothing of the page.

import { WebGLUnavailableError, bindTexture, createBuffer, createProgram, enableAttribute,
  setSampling } from "./gl_helpers.js";
import { PreviewTextures } from "./preview_textures.js";
import { photoSide } from "./pyramid.js";
import { GRID_FRAGMENT, GRID_VERTEX, PHOTOS_FRAGMENT, PHOTOS_VERTEX } from "./shaders.js";
import { TileTextures } from "./tile_textures.js";
import { findVisiblePhotos } from "./visible_photos.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./gl_helpers.js").Program} Program
 * @typedef {import("./viewport.js").View} View
 * @typedef {import("./viewport.js").Size} Size
 * @typedef {{view: View, size: Size, t: number, side: number, paper: number[],
 *   tintKind: 0 | 1 | 2, centres: Float32Array, front: number}} Frame what to draw: `t` eased,
 *   0 at the layout positions and 1 in the cells; `side` of a photo in cells; `paper` RGB from 0 to
 *   1 of the background; `centres` float32[2n] of the photos; `front` a row that is drawn on top of
 *   the others, or -1
 */

/** Draws one run. */
export class Renderer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Run} run
   * @param {() => void} onLoad called when a picture has arrived and a redraw is needed
   * @param {(error: unknown) => void} onError called when one could not be fetched
   */
  constructor(canvas, run, onLoad, onError) {
    const gl = canvas.getContext("webgl2", {
      alpha: true,
      antialias: false,
      depth: false,
      premultipliedAlpha: true,
      preserveDrawingBuffer: false,
    });
    if (!gl) {
      throw new WebGLUnavailableError("This browser does not support WebGL2");
    }
    if (Math.max(run.rows, run.columnsAcross) > gl.getParameter(gl.MAX_TEXTURE_SIZE)) {
      throw new WebGLUnavailableError(
        `A grid of ${run.rows} x ${run.columnsAcross} is too large for this browser's WebGL`);
    }
    this.gl = gl;
    this.canvas = canvas;
    this.run = run;
    this.onLoad = onLoad;
    /** @type {Uint8Array} */
    this.passes = new Uint8Array(run.count);
    this.visibleRows = new Uint32Array(run.count);
    this.indices = new Uint32Array(6 * run.count);
    this.vertices = createVertices(run);
    this.tiles = new TileTextures(gl, run, onLoad, onError);
    this.previews = new PreviewTextures(gl, run, this.vertices.cells, onLoad, onError);
    this.resources = createResources(gl, run, this.vertices);
  }

  /**
   * What marks the photos: `passes` and `selected` uint8[n]; `tints` RGBA uint8[4n] or null.
   *
   * @param {Uint8Array} passes @param {Uint8Array | null} selected
   * @param {Uint8Array | null} tints
   */
  setMarks(passes, selected, tints) {
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
    const { gl } = this;
    const { rows, columnsAcross } = this.run;
    gl.bindTexture(gl.TEXTURE_2D, this.resources.marks);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 4);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, 0, columnsAcross, rows, gl.RGBA_INTEGER, gl.UNSIGNED_BYTE,
      this.markData.marks,
    );
    gl.bindTexture(gl.TEXTURE_2D, this.resources.tints);
    gl.texSubImage2D(
      gl.TEXTURE_2D, 0, 0, 0, columnsAcross, rows, gl.RGBA, gl.UNSIGNED_BYTE,
      this.markData.colours,
    );
  }

  /** Whether every picture that the last frame needed has arrived. */
  get idle() {
    return this.tiles.idle && this.previews.idle;
  }

  /** @param {Frame} frame */
  draw(frame) {
    const { gl, tiles, previews } = this;
    const { programs, tints, marks } = this.resources;
    const ratio = this.canvas.width / Math.max(frame.size.width, 1);
    const pixels = frame.view.scale * frame.side * ratio; // device pixels of a photo's side
    const onGrid = frame.t === 1;
    const rows = onGrid ? null : findVisiblePhotos(frame, this.passes, this.visibleRows);
    const level = tiles.prepare(frame, pixels, rows);
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const use = (/** @type {Program} */ program) => this.use(program, frame, pixels, level);
    bindTexture(gl, 0, gl.TEXTURE_2D_ARRAY, tiles.textures.layers);
    bindTexture(gl, 1, gl.TEXTURE_2D, tiles.textures.pages);
    bindTexture(gl, 2, gl.TEXTURE_2D, tints);
    bindTexture(gl, 3, gl.TEXTURE_2D, marks);
    bindTexture(gl, 4, gl.TEXTURE_2D_ARRAY, previews.layers);

    if (onGrid) {
      use(programs.grid);
      gl.uniform2i(programs.grid.uniforms.gridSize, this.run.columnsAcross, this.run.rows);
      gl.bindVertexArray(null);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    } else {
      use(programs.photos);
      this.drawPhotos(rows ?? new Uint32Array());
    }
    const closeRows = previews.selectRows(frame, pixels, rows);
    previews.request(closeRows);
    previews.draw(frame, closeRows, use);
    if (frame.front >= 0 && !onGrid) {
      use(programs.photos);
      this.drawPhotos(Uint32Array.of(frame.front));
      previews.draw(frame, Uint32Array.of(frame.front), use);
    }
    gl.bindVertexArray(null);
  }

  /**
   * Make a program current and set the uniforms that all programs share.
   *
   * @param {Program} program @param {Frame} frame @param {number} pixels @param {number} level
   */
  use({ program, uniforms }, frame, pixels, level) {
    const { gl, canvas } = this;
    const ratio = canvas.width / Math.max(frame.size.width, 1);
    gl.useProgram(program);
    gl.uniform1i(uniforms.layers, 0);
    gl.uniform1i(uniforms.pages, 1);
    gl.uniform1i(uniforms.tints, 2);
    gl.uniform1i(uniforms.marks, 3);
    gl.uniform1i(uniforms.previews, 4);
    gl.uniform1f(uniforms.photoSide, photoSide(this.run.mosaic, level));
    gl.uniform1f(uniforms.tileSide, this.run.mosaic.tile);
    gl.uniform1f(uniforms.pixels, pixels);
    gl.uniform1f(uniforms.tintKind, frame.tintKind);
    gl.uniform3fv(uniforms.paper, frame.paper);
    gl.uniform2f(uniforms.canvasSize, canvas.width, canvas.height);
    gl.uniform2f(uniforms.middle, frame.view.x, frame.view.y);
    gl.uniform1f(uniforms.scale, frame.view.scale * ratio);
    gl.uniform1f(uniforms.side, frame.side);
    gl.uniform1f(uniforms.t, frame.t);
  }

  /** @param {Uint32Array} rows in drawing order */
  drawPhotos(rows) {
    const { gl } = this;
    gl.bindVertexArray(this.resources.photoVertices);
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

  /** Start over after the browser has taken the context away and given it back. */
  restore() {
    this.tiles.restore();
    this.previews.restore();
    this.resources = createResources(this.gl, this.run, this.vertices);
    this.uploadMarks();
    this.onLoad();
  }

  destroy() {
    this.tiles.destroy();
    this.previews.destroy();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

/**
 * What is kept in video memory besides the pictures.
 *
 * @param {WebGL2RenderingContext} gl @param {Run} run
 * @param {ReturnType<typeof createVertices>} vertices
 */
function createResources(gl, run, vertices) {
  const [tints, marks] = [gl.RGBA8, gl.RGBA8UI].map((format) => {
    const texture = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texStorage2D(gl.TEXTURE_2D, 1, format, run.columnsAcross, run.rows);
    setSampling(gl, gl.TEXTURE_2D, gl.NEAREST, gl.NEAREST);
    return texture;
  });
  const photoVertices = gl.createVertexArray();
  gl.bindVertexArray(photoVertices);
  enableAttribute(gl, createBuffer(gl, vertices.positions), 0, gl.FLOAT);
  enableAttribute(gl, createBuffer(gl, vertices.cells), 1, gl.UNSIGNED_SHORT);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.bindVertexArray(null);
  const programs = {
    grid: createProgram(gl, GRID_VERTEX, GRID_FRAGMENT),
    photos: createProgram(gl, PHOTOS_VERTEX, PHOTOS_FRAGMENT),
  };
  return { tints, marks, photoVertices, programs };
}

/**
 * The cell and the layout position of each photo, repeated for its four vertices.
 *
 * @param {Run} run
 */
function createVertices({ columnsAcross, cells, positions, count }) {
  const vertexCells = new Uint16Array(8 * count);
  const vertexPositions = new Float32Array(8 * count);
  for (let vertex = 0; vertex < 4 * count; vertex++) {
    const row = vertex >> 2;
    vertexCells[2 * vertex] = cells[row] % columnsAcross;
    vertexCells[2 * vertex + 1] = Math.floor(cells[row] / columnsAcross);
    vertexPositions[2 * vertex] = positions[2 * row];
    vertexPositions[2 * vertex + 1] = positions[2 * row + 1];
  }
  return { cells: vertexCells, positions: vertexPositions };
}
