// The map without WebGL2: the overview level, drawn on a plain canvas.

import { PictureFetcher } from "./picture_fetcher.js";
import { cornerInTile, firstLevel, overviewLevel, photoSide, tileKey, tileOf, tilesIn }
  from "./pyramid.js";
import { toScreen } from "./viewport.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./renderer.js").Frame} Frame
 */

const SELECTION_COLOUR = "#1a73e8";
const DIMMED_ALPHA = 0.15; // of photos that the filter leaves out
const TINT_ALPHA = 0.7;

/** Draws one run; has the same methods as `Renderer`. */
export class PlainRenderer {
  /**
   * @param {HTMLCanvasElement} canvas @param {Run} run
   * @param {() => void} onLoad @param {(error: unknown) => void} onError
   */
  constructor(canvas, run, onLoad, onError) {
    this.canvas = canvas;
    this.run = run;
    this.level = Math.max(overviewLevel(run.mosaic), firstLevel(run.mosaic));
    /** @type {Uint8Array} */
    this.passes = new Uint8Array(run.count).fill(1);
    /** @type {Uint8Array | null} */
    this.selected = null;
    /** @type {Uint8Array | null} */
    this.tints = null;
    /** @type {Map<string, HTMLCanvasElement>} tiles by key */
    this.tiles = new Map();
    this.fetcher = new PictureFetcher((key, picture) => {
      const tile = document.createElement("canvas");
      tile.width = picture.width;
      tile.height = picture.height;
      tile.getContext("2d")?.drawImage(picture, 0, 0);
      this.tiles.set(key, tile);
      onLoad();
    }, onError);
    const all = { left: 0, top: 0, right: run.columnsAcross - 1, bottom: run.rows - 1 };
    this.fetcher.request(
      tilesIn(run.mosaic, this.level, all).map((tile) => ({
        key: tileKey(tile),
        url: run.tileAddress(tile),
      })),
    );
  }

  get idle() {
    return this.fetcher.idle;
  }

  /**
   * @param {Uint8Array} passes @param {Uint8Array | null} selected @param {Uint8Array | null} tints
   */
  setMarks(passes, selected, tints) {
    this.passes = passes;
    this.selected = selected;
    this.tints = tints;
  }

  /** @param {Frame} frame */
  draw(frame) {
    const context = this.canvas.getContext("2d");
    if (!context) {
      return;
    }
    const { view, size, centres } = frame;
    const ratio = this.canvas.width / Math.max(size.width, 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, size.width, size.height);
    const side = frame.side * view.scale;
    for (const passing of [0, 1]) {
      context.globalAlpha = passing ? 1 : DIMMED_ALPHA;
      for (let row = 0; row < this.run.count; row++) {
        const { x, y } = toScreen(view, size, { x: centres[2 * row], y: centres[2 * row + 1] });
        const visible = x + side >= 0 && y + side >= 0 &&
          x - side <= size.width && y - side <= size.height;
        if (visible && this.passes[row] === passing) {
          this.drawPhoto(context, row, x, y, side);
          this.drawBorders(context, row, x, y, side, frame.tintKind);
        }
      }
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {number} row
   * @param {number} x @param {number} y of its middle @param {number} side
   */
  drawPhoto(context, row, x, y, side) {
    const { mosaic, cells } = this.run;
    const tile = this.tiles.get(tileKey(tileOf(mosaic, this.level, cells[row])));
    const corner = cornerInTile(mosaic, this.level, cells[row]);
    const source = photoSide(mosaic, this.level);
    if (tile) {
      context.drawImage(
        tile, corner.x, corner.y, source, source, x - side / 2, y - side / 2, side, side,
      );
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {number} row
   * @param {number} x @param {number} y of its middle @param {number} side @param {number} tintKind
   */
  drawBorders(context, row, x, y, side, tintKind) {
    const width = Math.min(Math.max(side * 0.1, 1), 4);
    const strokeBorder = (/** @type {string} */ colour) => {
      const inner = side - width;
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.strokeRect(x - inner / 2, y - inner / 2, inner, inner);
    };
    if (this.tints && tintKind) {
      const [red, green, blue, alpha] = this.tints.subarray(4 * row, 4 * row + 4);
      if (tintKind === 2) {
        context.fillStyle = `rgba(${red},${green},${blue},${(alpha / 255) * TINT_ALPHA})`;
        context.fillRect(x - side / 2, y - side / 2, side, side);
      } else {
        strokeBorder(`rgb(${red},${green},${blue})`);
      }
    }
    if (this.selected?.[row]) {
      strokeBorder(SELECTION_COLOUR);
    }
  }

  restore() {} // a plain canvas is never lost

  destroy() {
    this.fetcher.close();
  }
}
