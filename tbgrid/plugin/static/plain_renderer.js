// The map where there is no WebGL2: the overview, drawn by a plain canvas.

import { Fetcher } from "./fetcher.js";
import { cornerInTile, firstLevel, overviewLevel, photoSide, tileKey, tileOf, tilesIn }
  from "./pyramid.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./renderer.js").Frame} Frame
 */

/** Draws one run; the same methods as `Renderer` has. */
export class PlainRenderer {
  /**
   * @param {HTMLCanvasElement} canvas @param {Run} run
   * @param {() => void} changed @param {(error: unknown) => void} failed
   */
  constructor(canvas, run, changed, failed) {
    this.canvas = canvas;
    this.run = run;
    this.level = Math.max(overviewLevel(run.mosaic), firstLevel(run.mosaic));
    /** @type {Uint8Array} */
    this.passes = new Uint8Array(run.count).fill(1);
    /** @type {Uint8Array | null} */
    this.selected = null;
    /** @type {Uint8Array | null} */
    this.tints = null;
    this.fetcher = new Fetcher((key, picture) => {
      const copy = document.createElement("canvas");
      copy.width = picture.width;
      copy.height = picture.height;
      copy.getContext("2d")?.drawImage(picture, 0, 0);
      this.copies.set(key, copy);
      changed();
    }, failed);
    /** @type {Map<string, HTMLCanvasElement>} */
    this.copies = new Map();
    const all = { left: 0, top: 0, right: run.columnsAcross - 1, bottom: run.rows - 1 };
    this.fetcher.want(
      tilesIn(run.mosaic, this.level, all).map((tile) => ({
        key: tileKey(tile),
        url: run.tileAddress(tile),
      })),
    );
  }

  get settled() {
    return this.fetcher.idle;
  }

  /**
   * @param {Uint8Array} passes @param {Uint8Array | null} selected @param {Uint8Array | null} tints
   */
  mark(passes, selected, tints) {
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
    const ratio = this.canvas.width / Math.max(frame.size.width, 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, frame.size.width, frame.size.height);
    const { mosaic, cells, count } = this.run;
    const source = photoSide(mosaic, this.level);
    const side = frame.side * frame.view.scale;
    for (const passing of [0, 1]) {
      context.globalAlpha = passing ? 1 : 0.15;
      for (let row = 0; row < count; row++) {
        const x = (frame.centres[2 * row] - frame.view.x) * frame.view.scale + frame.size.width / 2;
        const y =
          (frame.centres[2 * row + 1] - frame.view.y) * frame.view.scale + frame.size.height / 2;
        const outside =
          x + side < 0 || y + side < 0 || x - side > frame.size.width ||
          y - side > frame.size.height;
        if (this.passes[row] !== passing || outside) {
          continue;
        }
        const picture = this.copies.get(tileKey(tileOf(mosaic, this.level, cells[row])));
        const corner = cornerInTile(mosaic, this.level, cells[row]);
        if (picture) {
          context.drawImage(
            picture, corner.x, corner.y, source, source, x - side / 2, y - side / 2, side, side,
          );
        }
        this.drawBorder(context, row, x, y, side, frame.tintKind);
      }
    }
    context.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} context @param {number} row @param {number} x
   * @param {number} y @param {number} side @param {number} kind
   */
  drawBorder(context, row, x, y, side, kind) {
    const tint = this.tints && kind ? this.tints.subarray(4 * row, 4 * row + 4) : null;
    const width = Math.min(Math.max(side * 0.1, 1), 4);
    if (tint) {
      context.fillStyle = `rgba(${tint[0]},${tint[1]},${tint[2]},${(tint[3] / 255) * 0.7})`;
      context.strokeStyle = `rgb(${tint[0]},${tint[1]},${tint[2]})`;
      context.lineWidth = width;
      if (kind === 2) {
        context.fillRect(x - side / 2, y - side / 2, side, side);
      } else {
        context.strokeRect(x - (side - width) / 2, y - (side - width) / 2, side - width, side - width);
      }
    }
    if (this.selected?.[row]) {
      context.strokeStyle = "#1a73e8";
      context.lineWidth = width;
      context.strokeRect(x - (side - width) / 2, y - (side - width) / 2, side - width, side - width);
    }
  }

  restore() {} // a plain canvas is never lost

  end() {
    this.fetcher.close();
  }
}
