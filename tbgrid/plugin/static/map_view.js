// One map on the page: it turns pointers and keys into views, questions and selections, and draws
// when something has changed.

import {
  between,
  cellAt,
  eased,
  inLasso,
  inRectangle,
  neighbourInDirection,
  photoAt,
  rectangle,
  spacing,
} from "./geometry.js";
import { element } from "./dom.js";
import { drawMarks } from "./overlay.js";
import { PlainRenderer } from "./plain_renderer.js";
import { NoWebGL, Renderer } from "./renderer.js";
import * as zoom from "./zoom.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./zoom.js").View} View
 * @typedef {import("./zoom.js").Point} Point
 * @typedef {"move" | "rectangle" | "lasso"} Tool
 * @typedef {"replace" | "add" | "subtract"} Mode
 * @typedef {object} Listener what a map reports
 * @property {(row: number, at: Point | null) => void} hovered row -1: none; `at` in CSS pixels of
 *   the page, null where the keyboard moved
 * @property {(row: number) => void} pinned row -1: none
 * @property {(view: View) => void} viewed
 * @property {(mask: Uint8Array, mode: Mode) => void} selected
 * @property {(key: KeyboardEvent) => boolean} pressed whether the key meant something
 * @property {(message: string) => void} troubled
 */

const CLICK = 4; // px that a pointer may stray and still click
const DOUBLE_CLICK = 250; // ms within which a second click makes it one
const SNAP_TIME = 1000; // ms
const FLIGHT_TIME = 450; // ms
const WHEEL = 0.0015; // of zoom for each pixel of the wheel
const STEP = 60; // px of the canvas for each press of an arrow key
const LOOSE = 0.8; // how slowly photos off the grid grow with the zoom: it parts them

export class MapView {
  /** @param {Run} run @param {Listener} listener */
  constructor(run, listener) {
    this.run = run;
    this.listener = listener;
    this.photos = element("canvas", { class: "photos" });
    this.marks = element("canvas", {
      class: "marks",
      tabIndex: 0,
      role: "application",
      "aria-label": `Map of ${run.count} photos of run ${run.name}. ` +
        "Arrow keys go from photo to photo, Enter pins one, plus and minus zoom, 0 shows all.",
    });
    this.note = element("p", { class: "note", hidden: true });
    this.node = element("div", { class: "map", "aria-busy": "true" },
      this.photos, this.marks, this.note);
    this.size = { width: 1, height: 1 };
    this.view = zoom.fitted(run.grid, this.size);
    /** @type {View | null} where the view should be once the size is known */
    this.wanted = null;
    this.whole = true; // the view shows all and follows the window's size
    this.share = 1;
    this.centres = between(run.places, run.cells, run.columnsAcross, 1);
    this.spacing = spacing(run.places, run.count);
    this.hovered = -1;
    this.pinned = -1;
    this.twin = -1; // the photo that is hovered in another map
    /** @type {{row: number, distance: number}[]} of the pinned photo */
    this.nearest = [];
    /** @type {Tool} */
    this.tool = "move";
    /** @type {Mode} */
    this.mode = "replace";
    /** @type {0 | 1 | 2} */
    this.tintKind = 0;
    /** @type {Uint8Array} */
    this.passes = new Uint8Array(run.count).fill(1);
    /** @type {Map<number, Point>} pointers that are down */
    this.pointers = new Map();
    /** @type {{tool: Tool, mode: Mode, points: Point[]} | null} */
    this.stroke = null;
    this.frame = 0;
    this.click = 0; // the timer of a click
    /** @type {((now: number) => boolean)[]} each is run before a frame until it returns false */
    this.motions = [];
    this.renderer = this.openRenderer();
    this.renderer.mark(this.passes, null, null);
    this.listen();
  }

  /** @returns {Renderer | PlainRenderer} */
  openRenderer() {
    const changed = () => this.due();
    const failed = () => {
      this.listener.troubled("a picture could not be fetched: reload the run");
      this.due(); // it is no longer waited for
    };
    try {
      return new Renderer(this.photos, this.run, changed, failed);
    } catch (error) {
      if (!(error instanceof NoWebGL)) {
        throw error;
      }
      this.tell(`${error.message}: photos are shown coarsely.`);
      const fresh = element("canvas", { class: "photos" }); // one that has no context yet
      this.photos.replaceWith(fresh);
      this.photos = fresh;
      return new PlainRenderer(fresh, this.run, changed, failed);
    }
  }

  /** @param {string} message */
  tell(message) {
    this.note.textContent = message;
    this.note.hidden = !message;
    this.node.classList.toggle("noted", message !== "");
  }

  listen() {
    const { marks } = this;
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.node);
    marks.addEventListener("pointerdown", (event) => this.down(event));
    marks.addEventListener("pointermove", (event) => this.move(event));
    marks.addEventListener("pointerup", (event) => this.up(event));
    marks.addEventListener("pointercancel", (event) => this.cancel(event));
    marks.addEventListener("pointerleave", () => this.hover(-1, null));
    marks.addEventListener("dblclick", (event) => this.doubled(event));
    marks.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    marks.addEventListener("keydown", (event) => this.key(event));
    marks.addEventListener("focus", () => this.due());
    marks.addEventListener("blur", () => this.due());
    this.photos.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.photos.addEventListener("webglcontextrestored", () => this.renderer.restore());
  }

  end() {
    this.observer?.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.click);
    this.renderer.end();
    this.node.remove();
  }

  // ---- what is shown

  get bounds() {
    const pixels = 2 * Math.max(this.run.manifest.preview, this.run.manifest.cell);
    return zoom.limits(this.run.grid, this.size, pixels / (devicePixelRatio || 1));
  }

  /** The side of a photo in cells: all of its cell at rest, less at the places in the plane. */
  get side() {
    const closer = this.view.scale / zoom.fitted(this.run.grid, this.size).scale;
    const loose = Math.min(1, Math.max(1.2 * this.spacing, 0.85)) * Math.max(closer, 1) ** (LOOSE - 1);
    const share = eased(this.share);
    return loose + (1 - loose) * share;
  }

  resize() {
    const box = this.marks.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) {
      return; // not shown
    }
    const before = this.size;
    this.size = { width: box.width, height: box.height };
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.photos, this.marks]) {
      canvas.width = Math.max(1, Math.round(box.width * ratio));
      canvas.height = Math.max(1, Math.round(box.height * ratio));
    }
    if (this.wanted) {
      const view = this.wanted;
      this.wanted = null;
      this.look(view);
    } else if (this.whole || before.width <= 1) {
      this.view = zoom.fitted(this.run.grid, this.size);
    } else {
      // The same part of the map, as the address bar tells it.
      this.view = zoom.viewFromText(zoom.viewToText(this.view, before), this.size) ?? this.view;
    }
    this.draw(performance.now()); // at once: a canvas is blank after a change of its size
  }

  /** Ask for a frame. */
  due() {
    this.frame ||= requestAnimationFrame((now) => this.draw(now));
  }

  /** @param {number} now */
  draw(now) {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.motions = this.motions.filter((motion) => motion(now));
    const style = getComputedStyle(this.node);
    const paper = style.getPropertyValue("--paper").match(/\d+/g)?.map(Number) ?? [255, 255, 255];
    const share = eased(this.share);
    this.renderer.draw({
      view: this.view,
      size: this.size,
      share,
      side: this.side,
      paper: paper.slice(0, 3).map((part) => part / 255),
      tintKind: this.tintKind,
      centres: this.centres,
      front: this.hovered,
    });
    drawMarks(this, style);
    const busy = this.motions.length > 0 || !this.renderer.settled;
    this.node.setAttribute("aria-busy", String(busy));
    if (this.motions.length > 0) {
      this.due();
    }
  }

  /**
   * What marks photos: `passes` uint8[n] of the filter, `selected` uint8[n] or null, `tints` RGBA
   * uint8[4n] or null as borders (kind 1) or over the photo (kind 2).
   *
   * @param {Uint8Array} passes @param {Uint8Array | null} selected
   * @param {Uint8Array | null} tints @param {0 | 1 | 2} kind
   */
  mark(passes, selected, tints, kind) {
    this.passes = passes;
    this.tintKind = tints ? kind : 0;
    this.renderer.mark(passes, selected, tints);
    this.due();
  }

  /** @param {View} view @param {{slowly?: boolean}} [how] */
  look(view, how = {}) {
    if (this.size.width <= 1) {
      this.wanted = view; // the page has no layout yet
      return;
    }
    const target = zoom.clamped(view, this.run.grid, this.bounds);
    this.whole = false;
    if (!how.slowly || still()) {
      this.view = target;
      this.listener.viewed(this.view);
      this.due();
      return;
    }
    const from = this.view;
    this.flight = this.animate(FLIGHT_TIME, this.flight, (share) => {
      this.view = zoom.between(from, target, eased(share));
      this.listener.viewed(this.view);
    });
  }

  /** The whole map. @param {{slowly?: boolean}} [how] */
  lookAtAll(how = { slowly: true }) {
    this.look(zoom.fitted(this.run.grid, this.size), how);
    this.whole = true;
  }

  /** Bring a photo into view, closer where it is small. @param {number} row */
  lookAt(row) {
    const at = { x: this.centres[2 * row], y: this.centres[2 * row + 1] };
    const near = Math.min(96, Math.min(this.size.width, this.size.height) / 3);
    const screen = zoom.toScreen(this.view, this.size, at);
    const side = this.view.scale * this.side;
    const inside = screen.x > side / 2 && screen.x < this.size.width - side / 2 &&
      screen.y > side / 2 && screen.y < this.size.height - side / 2;
    if (inside && side >= 24) {
      return;
    }
    const scale = side < 24 ? (near / side) * this.view.scale : this.view.scale;
    this.look({ ...at, scale }, { slowly: true });
  }

  /**
   * Move all photos between their places in the plane (0) and their cells (1).
   *
   * @param {number} share @param {{slowly?: boolean, moved?: (share: number) => void}} [how]
   */
  snapTo(share, how = {}) {
    const set = (/** @type {number} */ value) => {
      this.share = value;
      const { places, cells, columnsAcross } = this.run;
      between(places, cells, columnsAcross, value, this.centres);
      how.moved?.(value);
    };
    if (!how.slowly || still()) {
      this.stop(this.snapping);
      set(share);
      this.due();
      return;
    }
    const from = this.share;
    const time = Math.max(1, SNAP_TIME * Math.abs(share - from));
    this.snapping = this.animate(time, this.snapping, (part) => {
      set(from + (share - from) * part);
    });
  }

  /**
   * @param {number} time in ms @param {((now: number) => boolean) | undefined} instead of which
   * @param {(share: number) => void} step
   */
  animate(time, instead, step) {
    this.stop(instead);
    let start = 0;
    const motion = (/** @type {number} */ now) => {
      start ||= now;
      const share = Math.min(1, (now - start) / time);
      step(share);
      return share < 1;
    };
    this.motions.push(motion);
    this.due();
    return motion;
  }

  /** @param {((now: number) => boolean) | undefined} motion */
  stop(motion) {
    this.motions = this.motions.filter((other) => other !== motion);
  }

  /** @param {number} row @param {{row: number, distance: number}[]} nearest */
  pin(row, nearest = []) {
    this.pinned = row;
    this.nearest = nearest;
    this.due();
  }

  /** @param {number} row */
  setTwin(row) {
    if (row !== this.twin) {
      this.twin = row;
      this.due();
    }
  }

  // ---- pointers

  /** @param {MouseEvent} event @returns {Point} in CSS pixels of the canvas */
  at(event) {
    const box = this.marks.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  /** The row of the photo under a point of the canvas, or -1. @param {Point} screen */
  photoUnder(screen) {
    const world = zoom.toWorld(this.view, this.size, screen);
    if (this.share === 1) {
      const cell = cellAt(world.x, world.y, this.run.rows, this.run.columnsAcross);
      return cell < 0 ? -1 : this.run.occupant[cell];
    }
    return photoAt(world.x, world.y, this.centres, this.side, this.run.count);
  }

  /** @param {PointerEvent} event */
  down(event) {
    if (event.button !== 0) {
      return;
    }
    this.marks.setPointerCapture(event.pointerId);
    this.marks.focus({ preventScroll: true });
    this.stop(this.flight);
    clearTimeout(this.click);
    const at = this.at(event);
    this.pointers.set(event.pointerId, at);
    this.strayed = this.pointers.size > 1;
    this.pressedAt = at;
    const tool = this.tool === "move" && event.shiftKey ? "rectangle" : this.tool;
    if (tool !== "move" && this.pointers.size === 1) {
      this.stroke = { tool, mode: this.modeOf(event), points: [at] };
    } else {
      this.stroke = null; // a second finger: it zooms
    }
  }

  /** @param {PointerEvent} event @returns {Mode} */
  modeOf(event) {
    if (event.altKey) {
      return "subtract";
    }
    return event.shiftKey && this.mode === "replace" ? "add" : this.mode;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const at = this.at(event);
    const before = this.pointers.get(event.pointerId);
    if (!before && event.pointerType !== "touch") {
      this.hover(this.photoUnder(at), { x: event.clientX, y: event.clientY });
    }
    if (!before) {
      return;
    }
    const start = this.pressedAt ?? at;
    this.strayed ||= Math.hypot(at.x - start.x, at.y - start.y) > CLICK;
    if (!this.strayed) {
      return;
    }
    this.hover(-1, null);
    if (this.stroke) {
      this.pointers.set(event.pointerId, at);
      this.stroke.points.push(at);
      this.due();
    } else if (this.pointers.size === 1) {
      this.pointers.set(event.pointerId, at);
      this.look(zoom.panned(this.view, at.x - before.x, at.y - before.y));
    } else {
      this.pinch(event.pointerId, at);
    }
  }

  /** @param {number} id @param {Point} at */
  pinch(id, at) {
    const [a, b] = [...this.pointers.values()];
    this.pointers.set(id, at);
    const [c, d] = [...this.pointers.values()];
    const apart = (/** @type {Point} */ p, /** @type {Point} */ q) =>
      Math.max(1, Math.hypot(p.x - q.x, p.y - q.y));
    const middle = (/** @type {Point} */ p, /** @type {Point} */ q) =>
      ({ x: (p.x + q.x) / 2, y: (p.y + q.y) / 2 });
    const from = middle(a, b);
    const to = middle(c, d);
    const moved = zoom.panned(this.view, to.x - from.x, to.y - from.y);
    this.look(zoom.zoomedAt(moved, this.size, to, apart(c, d) / apart(a, b), this.bounds));
  }

  /** @param {PointerEvent} event */
  up(event) {
    if (!this.pointers.delete(event.pointerId)) {
      return;
    }
    const { stroke } = this;
    this.stroke = null;
    if (stroke && this.strayed) {
      this.listener.selected(this.inStroke(stroke), stroke.mode);
    } else if (!this.strayed) {
      this.clicked(this.photoUnder(this.at(event)), event);
    }
    this.due();
  }

  /** @param {PointerEvent} event */
  cancel(event) {
    this.pointers.delete(event.pointerId);
    this.stroke = null;
    this.due();
  }

  /** @param {number} row @param {PointerEvent} event */
  clicked(row, event) {
    const selects = event.shiftKey || event.ctrlKey || event.metaKey || this.tool !== "move";
    if (selects) {
      if (row >= 0) {
        const mask = new Uint8Array(this.run.count);
        mask[row] = 1;
        this.listener.selected(mask, event.altKey ? "subtract" : "add");
      }
      return;
    }
    // Not at once, since it may be the first half of a double click, which zooms.
    this.click = window.setTimeout(() => this.listener.pinned(row), DOUBLE_CLICK);
  }

  /** @param {{tool: Tool, points: Point[]}} stroke */
  inStroke({ tool, points }) {
    const world = points.map((point) => zoom.toWorld(this.view, this.size, point));
    if (tool === "rectangle") {
      return inRectangle(rectangle(world[0], world[world.length - 1]), this.centres, this.run.count);
    }
    return inLasso(world.map(({ x, y }) => [x, y]), this.centres, this.run.count);
  }

  /** @param {number} row @param {Point | null} at */
  hover(row, at) {
    if (row !== this.hovered) {
      this.hovered = row;
      this.due();
    }
    this.listener.hovered(row, at);
  }

  /** @param {MouseEvent} event */
  doubled(event) {
    clearTimeout(this.click);
    if (this.tool !== "move") {
      return;
    }
    const factor = event.shiftKey ? 1 / 2.5 : 2.5;
    const at = this.at(event);
    this.look(zoom.zoomedAt(this.view, this.size, at, factor, this.bounds), { slowly: true });
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const pages = event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? this.size.height : lines;
    const speed = event.ctrlKey ? 6 : 1; // a pinch on a touch pad gives small steps
    const turn = Math.min(Math.max(event.deltaY * pages * speed, -600), 600);
    const view = zoom.zoomedAt(
      this.view, this.size, this.at(event), Math.exp(-turn * WHEEL), this.bounds,
    );
    if (view.scale === this.view.scale && turn > 0 && !event.ctrlKey) {
      return; // seen from farthest already: the page around may scroll
    }
    event.preventDefault();
    this.stop(this.flight);
    this.look(view);
  }

  // ---- keys

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) {
      return;
    }
    if (this.walk(event) || this.listener.pressed(event)) {
      event.preventDefault();
    }
  }

  /** @param {KeyboardEvent} event @returns {boolean} whether the key was one of the map's */
  walk(event) {
    if (event.key === "Escape" && this.stroke) {
      this.stroke = null;
      this.strayed = true; // so that letting go is no click
      this.due();
      return true;
    }
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (way && event.shiftKey) {
      this.look(zoom.panned(this.view, -way[0] * STEP, -way[1] * STEP));
      return true;
    }
    if (way) {
      const from = this.hovered >= 0 ? this.hovered : this.pinned;
      const row = from < 0 ? this.middlePhoto() : this.photoBeside(from, way[0], way[1]);
      if (row >= 0) {
        this.hover(row, null);
        this.lookAt(row);
      }
      return true;
    }
    const middle = { x: this.size.width / 2, y: this.size.height / 2 };
    const factor = { "+": 1.5, "=": 1.5, "-": 1 / 1.5, _: 1 / 1.5 }[event.key];
    if (factor) {
      this.look(zoom.zoomedAt(this.view, this.size, middle, factor, this.bounds));
      return true;
    }
    if (event.key === "0" || event.key === "Home") {
      this.lookAtAll();
      return true;
    }
    if ((event.key === "Enter" || event.key === " ") && this.hovered >= 0) {
      this.listener.pinned(this.hovered);
      return true;
    }
    return false;
  }

  /** @param {number} row @param {number} dx @param {number} dy */
  photoBeside(row, dx, dy) {
    if (this.share < 1) {
      return neighbourInDirection(row, dx, dy, this.centres, this.run.count);
    }
    const { rows, columnsAcross, cells, occupant } = this.run;
    let x = (cells[row] % columnsAcross) + dx;
    let y = Math.floor(cells[row] / columnsAcross) + dy;
    while (x >= 0 && x < columnsAcross && y >= 0 && y < rows) {
      const found = occupant[y * columnsAcross + x];
      if (found >= 0) {
        return found;
      }
      x += dx;
      y += dy;
    }
    return -1;
  }

  /** The photo nearest to the middle of the canvas. */
  middlePhoto() {
    return photoAt(this.view.x, this.view.y, this.centres, 2e6, this.run.count);
  }
}

/** Whether the user wants no motion. */
function still() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
