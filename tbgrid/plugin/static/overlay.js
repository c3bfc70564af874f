// What is drawn over the photos: frames, lines to neighbours, the lasso.

import { toScreen } from "./zoom.js";

/**
 * @typedef {import("./map_view.js").MapView} MapView
 */

/**
 * @param {MapView} map
 * @param {CSSStyleDeclaration} style
 */
export function drawMarks(map, style) {
  const context = map.marks.getContext("2d");
  if (!context) {
    return;
  }
  const ratio = map.marks.width / Math.max(map.size.width, 1);
  const accent = style.getPropertyValue("--accent").trim() || "#1a73e8";
  const paper = style.getPropertyValue("--paper").trim() || "#fff";
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, map.size.width, map.size.height);
  const side = map.view.scale * map.side;
  const middle = (/** @type {number} */ row) =>
    toScreen(map.view, map.size, { x: map.centres[2 * row], y: map.centres[2 * row + 1] });

  /** @param {number} row @param {string} colour @param {number} width @param {number[]} [dash] */
  const frame = (row, colour, width, dash = []) => {
    const { x, y } = middle(row);
    const extent = Math.max(side, 8) + width;
    context.setLineDash([]);
    context.lineWidth = width + 2;
    context.strokeStyle = paper;
    context.strokeRect(x - extent / 2, y - extent / 2, extent, extent);
    context.setLineDash(dash);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.strokeRect(x - extent / 2, y - extent / 2, extent, extent);
    context.setLineDash([]);
  };

  /** A photo that is pointed at elsewhere: to be found at any size. @param {number} row
   *  @param {string} colour */
  const ring = (row, colour) => {
    const { x, y } = middle(row);
    for (const [width, stroke] of /** @type {const} */ ([[6, paper], [3, colour]])) {
      context.lineWidth = width;
      context.strokeStyle = stroke;
      context.beginPath();
      context.arc(x, y, Math.max(side * 0.75, 14), 0, 2 * Math.PI);
      context.stroke();
    }
    frame(row, colour, 2);
  };

  if (map.pinned >= 0) {
    drawNearest(context, map, middle, frame, accent, paper);
    frame(map.pinned, accent, 3);
  }
  if (map.twin >= 0) {
    ring(map.twin, "#e8710a");
  }
  if (map.hovered >= 0) {
    frame(map.hovered, style.getPropertyValue("--ink").trim() || "#000", 2);
  }
  if (map.stroke && map.stroke.points.length > 1) {
    drawStroke(context, map.stroke, accent);
  }
}

/**
 * Lines from the pinned photo to its nearest by embedding: the nearer, the thicker.
 *
 * @param {CanvasRenderingContext2D} context @param {MapView} map
 * @param {(row: number) => {x: number, y: number}} middle
 * @param {(row: number, colour: string, width: number) => void} frame
 * @param {string} accent @param {string} paper
 */
function drawNearest(context, map, middle, frame, accent, paper) {
  const from = middle(map.pinned);
  const lines = map.nearest.map(({ row }, rank) => ({ to: middle(row), rank }));
  for (const { width, colour } of [{ width: 3, colour: paper }, { width: 1, colour: accent }]) {
    for (const { to, rank } of lines) {
      context.globalAlpha = 0.9 - (0.45 * rank) / Math.max(lines.length - 1, 1);
      context.lineWidth = width + 1.5 * (1 - rank / Math.max(lines.length, 1));
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
  }
  context.globalAlpha = 1;
  for (const { row } of map.nearest) {
    frame(row, accent, 1.5);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {{tool: string, mode: string, points: {x: number, y: number}[]}} stroke
 * @param {string} accent
 */
function drawStroke(context, { tool, mode, points }, accent) {
  const colour = mode === "subtract" ? "#d93025" : accent;
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
