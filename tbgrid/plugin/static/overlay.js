// What is drawn over the photos: frames, lines to the nearest photos, the lasso.

import { toScreen } from "./viewport.js";

/**
 * @typedef {import("./map_view.js").MapView} MapView
 * @typedef {import("./viewport.js").Point} Point
 */

const LINK_COLOUR = "#e8710a"; // of a photo that is pointed at elsewhere
const SUBTRACT_COLOUR = "#d93025";
const MIN_FRAME = 8; // px, so that frames of small photos are visible
const MIN_RING = 14; // px

/** Draws with what a map shows in one frame. */
class OverlayPainter {
  /**
   * @param {CanvasRenderingContext2D} context @param {MapView} map
   * @param {CSSStyleDeclaration} style
   */
  constructor(context, map, style) {
    this.context = context;
    this.map = map;
    this.accent = style.getPropertyValue("--accent").trim() || "#1a73e8";
    this.paper = style.getPropertyValue("--paper").trim() || "#fff";
    this.ink = style.getPropertyValue("--ink").trim() || "#000";
    this.side = map.view.scale * map.side;
  }

  draw() {
    const { context, map } = this;
    const ratio = map.overlay.width / Math.max(map.size.width, 1);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, map.size.width, map.size.height);
    if (map.pinnedRow >= 0) {
      this.drawNearest();
      this.drawFrame(map.pinnedRow, this.accent, 3);
    }
    if (map.linkedHover >= 0) {
      this.drawRing(map.linkedHover, LINK_COLOUR);
    }
    if (map.hoveredRow >= 0) {
      this.drawFrame(map.hoveredRow, this.ink, 2);
    }
    const { stroke } = map.pointer;
    if (stroke && stroke.points.length > 1) {
      this.drawStroke(stroke);
    }
  }

  /** The middle of a photo in CSS pixels. @param {number} row @returns {Point} */
  locate(row) {
    const { view, size, centres } = this.map;
    return toScreen(view, size, { x: centres[2 * row], y: centres[2 * row + 1] });
  }

  /** @param {number} row @param {string} colour @param {number} width */
  drawFrame(row, colour, width) {
    const { context } = this;
    const { x, y } = this.locate(row);
    const extent = Math.max(this.side, MIN_FRAME) + width;
    context.setLineDash([]);
    for (const [lineWidth, stroke] of /** @type {const} */ ([
      [width + 2, this.paper], [width, colour],
    ])) {
      context.lineWidth = lineWidth;
      context.strokeStyle = stroke;
      context.strokeRect(x - extent / 2, y - extent / 2, extent, extent);
    }
  }

  /** A frame with a ring around it, which is found at any size. @param {number} row
   *  @param {string} colour */
  drawRing(row, colour) {
    const { context } = this;
    const { x, y } = this.locate(row);
    for (const [width, stroke] of /** @type {const} */ ([[6, this.paper], [3, colour]])) {
      context.lineWidth = width;
      context.strokeStyle = stroke;
      context.beginPath();
      context.arc(x, y, Math.max(this.side * 0.75, MIN_RING), 0, 2 * Math.PI);
      context.stroke();
    }
    this.drawFrame(row, colour, 2);
  }

  /** Lines from the pinned photo to its nearest by embedding: the nearer, the thicker. */
  drawNearest() {
    const { context, map } = this;
    const from = this.locate(map.pinnedRow);
    const lines = map.nearest.map(({ row }, rank) => ({ to: this.locate(row), rank }));
    for (const [width, stroke] of /** @type {const} */ ([[3, this.paper], [1, this.accent]])) {
      for (const { to, rank } of lines) {
        context.globalAlpha = 0.9 - (0.45 * rank) / Math.max(lines.length - 1, 1);
        context.lineWidth = width + 1.5 * (1 - rank / Math.max(lines.length, 1));
        context.strokeStyle = stroke;
        context.beginPath();
        context.moveTo(from.x, from.y);
        context.lineTo(to.x, to.y);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
    for (const { row } of map.nearest) {
      this.drawFrame(row, this.accent, 1.5);
    }
  }

  /** The selection that is being drawn. @param {import("./map_pointer.js").Stroke} stroke */
  drawStroke({ tool, mode, points }) {
    const { context } = this;
    const colour = mode === "subtract" ? SUBTRACT_COLOUR : this.accent;
    context.beginPath();
    if (tool === "rectangle") {
      const [first, last] = [points[0], points[points.length - 1]];
      context.rect(first.x, first.y, last.x - first.x, last.y - first.y);
    } else {
      points.forEach(({ x, y }, index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
      context.closePath();
    }
    context.globalAlpha = 0.15;
    context.fillStyle = colour;
    context.fill("evenodd");
    context.globalAlpha = 1;
    context.lineWidth = 1.5;
    context.strokeStyle = colour;
    context.setLineDash([5, 3]);
    context.stroke();
    context.setLineDash([]);
  }
}

/** @param {MapView} map @param {CSSStyleDeclaration} style of the map's colours */
export function drawOverlay(map, style) {
  const context = map.overlay.getContext("2d");
  if (context) {
    new OverlayPainter(context, map, style).draw();
  }
}
