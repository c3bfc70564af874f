// Mouse, touch and wheel on a map: they pan, zoom, pin and select.

import { photosInRectangle, rectangleBetween } from "./geometry.js";
import { photosInLasso } from "./lasso.js";
import { pinchView, toWorld, zoomView } from "./viewport.js";

/**
 * @typedef {import("./map_view.js").MapView} MapView
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {import("./map_view.js").Tool} Tool
 * @typedef {import("./viewport.js").Point} Point
 * @typedef {{tool: Tool, mode: Mode, points: Point[]}} Stroke a selection that is being drawn
 */

const CLICK_TOLERANCE = 4; // px that a pointer may move and still click
const DOUBLE_CLICK_TIME = 250; // ms within which a second click makes a double click
const DOUBLE_CLICK_FACTOR = 2.5;
const WHEEL_SPEED = 0.0015; // of zoom per pixel of the wheel
const MAX_WHEEL_DELTA = 600; // px of a single event
const LINE_HEIGHT = 16; // px, for wheels that count lines
const PINCH_SPEED = 6; // a pinch on a touch pad arrives as a wheel with small steps

export class MapPointer {
  /** @param {MapView} map */
  constructor(map) {
    this.map = map;
    /** @type {Map<number, Point>} pointers that are down, by id */
    this.pointers = new Map();
    /** @type {Stroke | null} */
    this.stroke = null;
    /** @type {Point | null} */
    this.pressedAt = null;
    this.dragged = false; // so that letting go is not a click
    this.clickTimer = 0;
  }

  /** @param {HTMLCanvasElement} canvas */
  listen(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.cancel(event));
    canvas.addEventListener("pointerleave", () => this.map.hover(-1, null));
    canvas.addEventListener("dblclick", (event) => this.doubleClick(event));
    canvas.addEventListener("wheel", (event) => this.turnWheel(event), { passive: false });
  }

  destroy() {
    clearTimeout(this.clickTimer);
  }

  /** @param {MouseEvent} event @returns {Point} in CSS pixels of the canvas */
  locate(event) {
    const box = this.map.overlay.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** @param {PointerEvent} event */
  press(event) {
    const { map } = this;
    if (event.button !== 0) {
      return;
    }
    map.overlay.setPointerCapture(event.pointerId);
    map.overlay.focus({ preventScroll: true });
    map.stopFlight();
    clearTimeout(this.clickTimer);
    const at = this.locate(event);
    this.pointers.set(event.pointerId, at);
    this.dragged = this.pointers.size > 1;
    this.pressedAt = at;
    const tool = map.tool === "move" && event.shiftKey ? "rectangle" : map.tool;
    if (tool !== "move" && this.pointers.size === 1) {
      this.stroke = { tool, mode: strokeMode(event, map.mode), points: [at] };
    } else {
      this.stroke = null; // a second finger: it zooms
    }
  }

  /** @param {PointerEvent} event */
  move(event) {
    const { map } = this;
    const at = this.locate(event);
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") {
        map.hover(map.photoUnder(at), { x: event.clientX, y: event.clientY });
      }
      return;
    }
    const start = this.pressedAt ?? at;
    this.dragged ||= Math.hypot(at.x - start.x, at.y - start.y) > CLICK_TOLERANCE;
    if (!this.dragged) {
      return;
    }
    map.hover(-1, null);
    if (this.stroke) {
      this.pointers.set(event.pointerId, at);
      this.stroke.points.push(at);
      map.requestRedraw();
    } else if (this.pointers.size === 1) {
      this.pointers.set(event.pointerId, at);
      map.pan(at.x - before.x, at.y - before.y);
    } else {
      this.pinch(event.pointerId, at);
    }
  }

  /** @param {number} id of the pointer that has moved @param {Point} at */
  pinch(id, at) {
    const { map } = this;
    const [a, b] = this.pointers.values();
    this.pointers.set(id, at);
    const [c, d] = this.pointers.values();
    map.setView(pinchView(map.view, map.size, [a, b], [c, d], map.scaleLimits));
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { map, stroke } = this;
    if (!this.pointers.delete(event.pointerId)) {
      return;
    }
    this.stroke = null;
    if (stroke && this.dragged) {
      map.listener.onSelect(this.findPhotosIn(stroke), stroke.mode);
    } else if (!this.dragged) {
      this.click(map.photoUnder(this.locate(event)), event);
    }
    map.requestRedraw();
  }

  /** @param {PointerEvent} event */
  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.stroke = null;
    this.map.requestRedraw();
  }

  /** Give up the selection that is being drawn. @returns {boolean} whether there was one */
  cancelStroke() {
    if (!this.stroke) {
      return false;
    }
    this.stroke = null;
    this.dragged = true; // so that letting go is not a click
    this.map.requestRedraw();
    return true;
  }

  /** @param {number} row @param {PointerEvent} event */
  click(row, event) {
    const { map } = this;
    const selects = event.shiftKey || event.ctrlKey || event.metaKey || map.tool !== "move";
    if (!selects) {
      // Not at once, since it may be the first half of a double click, which zooms.
      this.clickTimer = window.setTimeout(() => map.listener.onPin(row), DOUBLE_CLICK_TIME);
    } else if (row >= 0) {
      const mask = new Uint8Array(map.run.count);
      mask[row] = 1;
      map.listener.onSelect(mask, event.altKey ? "subtract" : "add");
    }
  }

  /** A mask of the photos whose centres lie in a stroke. @param {Stroke} stroke */
  findPhotosIn({ tool, points }) {
    const { map } = this;
    const world = points.map((point) => toWorld(map.view, map.size, point));
    if (tool === "rectangle") {
      const rect = rectangleBetween(world[0], world[world.length - 1]);
      return photosInRectangle(rect, map.centres, map.run.count);
    }
    return photosInLasso(world.map(({ x, y }) => [x, y]), map.centres, map.run.count);
  }

  /** @param {MouseEvent} event */
  doubleClick(event) {
    clearTimeout(this.clickTimer);
    if (this.map.tool === "move") {
      const factor = event.shiftKey ? 1 / DOUBLE_CLICK_FACTOR : DOUBLE_CLICK_FACTOR;
      this.map.zoom(this.locate(event), factor, { animate: true });
    }
  }

  /** @param {WheelEvent} event */
  turnWheel(event) {
    const { map } = this;
    const factor = wheelFactor(event, map.size.height);
    const view = zoomView(map.view, map.size, this.locate(event), factor, map.scaleLimits);
    if (view.scale === map.view.scale && factor < 1 && !event.ctrlKey) {
      return; // zoomed out as far as possible: the page around may scroll
    }
    event.preventDefault();
    map.stopFlight();
    map.setView(view);
  }
}

/**
 * What a stroke does to the selection: the modifier keys override the chosen mode.
 *
 * @param {{altKey: boolean, shiftKey: boolean}} event @param {Mode} mode
 * @returns {Mode}
 */
export function strokeMode(event, mode) {
  if (event.altKey) {
    return "subtract";
  }
  return event.shiftKey && mode === "replace" ? "add" : mode;
}

/**
 * By how much a turn of the wheel zooms.
 *
 * @param {{deltaY: number, deltaMode: number, ctrlKey: boolean}} event
 * @param {number} pageHeight in px, for wheels that count pages
 */
export function wheelFactor({ deltaY, deltaMode, ctrlKey }, pageHeight) {
  const unit = [1, LINE_HEIGHT, pageHeight][deltaMode] ?? 1; // WheelEvent.DOM_DELTA_*
  const delta = deltaY * unit * (ctrlKey ? PINCH_SPEED : 1);
  return Math.exp(-Math.min(Math.max(delta, -MAX_WHEEL_DELTA), MAX_WHEEL_DELTA) * WHEEL_SPEED);
}
