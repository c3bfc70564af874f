// One map on the page: the photos of a run, and what is drawn over them.

import { Animator } from "./animator.js";
import { createElement } from "./dom.js";
import { cellAt, ease, interpolateCentres, neighbourInDirection, photoAt } from "./geometry.js";
import { WebGLUnavailableError } from "./gl_helpers.js";
import { handleMapKey } from "./map_keys.js";
import { MapPointer } from "./map_pointer.js";
import { drawOverlay } from "./overlay.js";
import { PlainRenderer } from "./plain_renderer.js";
import { Renderer } from "./renderer.js";
import { typicalSpacing } from "./spacing.js";
import * as viewport from "./viewport.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./viewport.js").View} View
 * @typedef {import("./viewport.js").Point} Point
 * @typedef {"move" | "rectangle" | "lasso"} Tool
 * @typedef {"replace" | "add" | "subtract"} Mode what a selection does to the one before
 * @typedef {object} Listener what a map reports
 * @property {(row: number, at: Point | null) => void} onHover row -1: none; `at` in CSS pixels of
 *   the page, null if the keyboard moved
 * @property {(row: number) => void} onPin row -1: none
 * @property {(view: View) => void} onViewChange
 * @property {(mask: Uint8Array, mode: Mode) => void} onSelect
 * @property {(event: KeyboardEvent) => boolean} onKey returns whether the key had a meaning
 * @property {(message: string) => void} onError
 */

const SNAP_TIME = 1000; // ms
const FLIGHT_TIME = 450; // ms
const SPREAD_EXPONENT = 0.8; // how slowly photos off the grid grow with the zoom: it parts them
const MIN_VISIBLE_SIDE = 24; // px: `lookAt` zooms in on photos that are smaller

export class MapView {
  /** @param {Run} run @param {Listener} listener */
  constructor(run, listener) {
    this.run = run;
    this.listener = listener;
    this.photos = createElement("canvas", { class: "photos" });
    this.overlay = createElement("canvas", {
      class: "marks",
      tabIndex: 0,
      role: "application",
      "aria-label": `Map of the ${run.count} photos in run ${run.name}. Arrow keys move between ` +
        "photos, Enter pins the current one, plus and minus zoom, 0 shows the whole map.",
    });
    this.note = createElement("p", { class: "note", hidden: true });
    this.node = createElement("div", { class: "map", "aria-busy": "true" },
      this.photos, this.overlay, this.note);
    this.size = { width: 1, height: 1 };
    this.view = viewport.fitView(run.grid, this.size);
    /** @type {View | null} the view to show once the size is known */
    this.pendingView = null;
    this.showsAll = true; // the view shows the whole map and follows the window's size
    this.t = 1; // 0: at the layout positions, 1: in the cells; not eased
    this.centres = interpolateCentres(run.positions, run.cells, run.columnsAcross, 1);
    this.spacing = typicalSpacing(run.positions, run.count);
    this.hoveredRow = -1;
    this.pinnedRow = -1;
    this.linkedHover = -1; // the row of the photo that is pointed at in a list or in another map
    /** @type {{row: number, distance: number}[]} of the pinned photo */
    this.nearest = [];
    /** @type {Tool} */
    this.tool = "move";
    /** @type {Mode} */
    this.mode = "replace";
    /** @type {0 | 1 | 2} */
    this.tintKind = 0;
    this.frameRequest = 0;
    this.animator = new Animator(() => this.requestRedraw());
    this.pointer = new MapPointer(this);
    this.renderer = this.createRenderer();
    this.renderer.setMarks(new Uint8Array(run.count).fill(1), null, null);
    this.listen();
  }

  /** @returns {Renderer | PlainRenderer} */
  createRenderer() {
    const onLoad = () => this.requestRedraw();
    const onError = () => {
      this.listener.onError("A picture could not be loaded; reload the run");
      this.requestRedraw(); // the map no longer waits for it
    };
    try {
      return new Renderer(this.photos, this.run, onLoad, onError);
    } catch (error) {
      if (!(error instanceof WebGLUnavailableError)) {
        throw error;
      }
      this.showNote(`${error.message}: photos are shown at low resolution.`);
      const fresh = createElement("canvas", { class: "photos" }); // without a context
      this.photos.replaceWith(fresh);
      this.photos = fresh;
      return new PlainRenderer(fresh, this.run, onLoad, onError);
    }
  }

  /** @param {string} message */
  showNote(message) {
    this.note.textContent = message;
    this.note.hidden = !message;
    this.node.classList.toggle("noted", message !== "");
  }

  listen() {
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.node);
    this.pointer.listen(this.overlay);
    this.overlay.addEventListener("keydown", (event) => {
      const modified = event.altKey || event.ctrlKey || event.metaKey;
      if (!modified && (handleMapKey(this, event) || this.listener.onKey(event))) {
        event.preventDefault();
      }
    });
    this.overlay.addEventListener("focus", () => this.requestRedraw());
    this.overlay.addEventListener("blur", () => this.requestRedraw());
    this.photos.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.photos.addEventListener("webglcontextrestored", () => this.renderer.restore());
  }

  destroy() {
    this.observer?.disconnect();
    cancelAnimationFrame(this.frameRequest);
    this.pointer.destroy();
    this.renderer.destroy();
    this.node.remove();
  }

  // ---- drawing

  get scaleLimits() {
    const pixels = 2 * Math.max(this.run.manifest.preview, this.run.manifest.cell);
    return viewport.scaleLimits(this.run.grid, this.size, pixels / (devicePixelRatio || 1));
  }

  /** The side of a photo in cells: a whole cell on the grid, less at the layout positions. */
  get side() {
    const zoom = this.view.scale / viewport.fitView(this.run.grid, this.size).scale;
    const spread = Math.min(1, Math.max(1.2 * this.spacing, 0.85)) *
      Math.max(zoom, 1) ** (SPREAD_EXPONENT - 1);
    return spread + (1 - spread) * ease(this.t);
  }

  resize() {
    const box = this.overlay.getBoundingClientRect();
    if (box.width < 2 || box.height < 2) {
      return; // not shown
    }
    const before = this.size;
    this.size = { width: box.width, height: box.height };
    const ratio = devicePixelRatio || 1;
    for (const canvas of [this.photos, this.overlay]) {
      canvas.width = Math.max(1, Math.round(box.width * ratio));
      canvas.height = Math.max(1, Math.round(box.height * ratio));
    }
    if (this.pendingView) {
      const view = this.pendingView;
      this.pendingView = null;
      this.setView(view);
    } else if (this.showsAll || before.width <= 1) {
      this.view = viewport.fitView(this.run.grid, this.size);
    } else {
      // The same part of the map, as for a link that is opened in a window of another size.
      const text = viewport.formatView(this.view, before);
      this.view = viewport.parseView(text, this.size) ?? this.view;
    }
    this.draw(performance.now()); // at once: a canvas is blank after a change of its size
  }

  requestRedraw() {
    this.frameRequest ||= requestAnimationFrame((now) => this.draw(now));
  }

  /** @param {number} now in ms */
  draw(now) {
    cancelAnimationFrame(this.frameRequest);
    this.frameRequest = 0;
    this.animator.advance(now);
    const style = getComputedStyle(this.node);
    const paper = style.getPropertyValue("--paper").match(/\d+/g)?.map(Number) ?? [255, 255, 255];
    this.renderer.draw({
      view: this.view,
      size: this.size,
      t: ease(this.t),
      side: this.side,
      paper: paper.slice(0, 3).map((part) => part / 255),
      tintKind: this.tintKind,
      centres: this.centres,
      front: this.hoveredRow,
    });
    drawOverlay(this, style);
    const busy = this.animator.running || !this.renderer.idle;
    this.node.setAttribute("aria-busy", String(busy));
    if (this.animator.running) {
      this.requestRedraw();
    }
  }

  /**
   * Mark photos: `passes` uint8[n] of the filter, `selected` uint8[n] or null, `tints` RGBA
   * uint8[4n] or null as borders (kind 1) or over the photo (kind 2).
   *
   * @param {Uint8Array} passes @param {Uint8Array | null} selected
   * @param {Uint8Array | null} tints @param {0 | 1 | 2} kind
   */
  setMarks(passes, selected, tints, kind) {
    this.tintKind = tints ? kind : 0;
    this.renderer.setMarks(passes, selected, tints);
    this.requestRedraw();
  }

  // ---- the view

  /** @param {View} view @param {{animate?: boolean}} [options] */
  setView(view, { animate = false } = {}) {
    if (this.size.width <= 1) {
      this.pendingView = view; // the page has no layout yet
      return;
    }
    const target = viewport.clampView(view, this.run.grid, this.scaleLimits);
    this.showsAll = false;
    if (!animate || prefersReducedMotion()) {
      this.view = target;
      this.listener.onViewChange(this.view);
      this.requestRedraw();
      return;
    }
    const from = this.view;
    this.flight = this.animator.start(FLIGHT_TIME, (t) => {
      this.view = viewport.interpolateViews(from, target, ease(t));
      this.listener.onViewChange(this.view);
    }, this.flight);
  }

  stopFlight() {
    this.animator.stop(this.flight);
  }

  /** @param {number} dx @param {number} dy in CSS pixels */
  pan(dx, dy) {
    this.setView(viewport.panView(this.view, dx, dy));
  }

  /**
   * @param {Point} at in CSS pixels, stays in its place @param {number} factor
   * @param {{animate?: boolean}} [options]
   */
  zoom(at, factor, options) {
    const view = viewport.zoomView(this.view, this.size, at, factor, this.scaleLimits);
    this.setView(view, options);
  }

  /** Show the whole map. */
  showAll() {
    this.setView(viewport.fitView(this.run.grid, this.size), { animate: true });
    this.showsAll = true;
  }

  /** Bring a photo into view, zooming in if it is small. @param {number} row */
  lookAt(row) {
    const at = { x: this.centres[2 * row], y: this.centres[2 * row + 1] };
    const closeSide = Math.min(96, Math.min(this.size.width, this.size.height) / 3);
    const screen = viewport.toScreen(this.view, this.size, at);
    const side = this.view.scale * this.side;
    const inside = screen.x > side / 2 && screen.x < this.size.width - side / 2 &&
      screen.y > side / 2 && screen.y < this.size.height - side / 2;
    const isSmall = side < MIN_VISIBLE_SIDE;
    if (inside && !isSmall) {
      return;
    }
    const scale = isSmall ? (closeSide / side) * this.view.scale : this.view.scale;
    this.setView({ ...at, scale }, { animate: true });
  }

  /**
   * Move all photos between their layout positions (0) and their cells (1).
   *
   * @param {number} t @param {{animate?: boolean, onStep?: (t: number) => void}} [options]
   */
  snapTo(t, { animate = false, onStep } = {}) {
    const set = (/** @type {number} */ value) => {
      this.t = value;
      const { positions, cells, columnsAcross } = this.run;
      interpolateCentres(positions, cells, columnsAcross, value, this.centres);
      onStep?.(value);
    };
    if (!animate || prefersReducedMotion()) {
      this.animator.stop(this.snapping);
      set(t);
      this.requestRedraw();
      return;
    }
    const from = this.t;
    const time = Math.max(1, SNAP_TIME * Math.abs(t - from));
    this.snapping = this.animator.start(time, (part) => set(from + (t - from) * part),
      this.snapping);
  }

  // ---- single photos

  /** @param {number} row @param {{row: number, distance: number}[]} nearest */
  pin(row, nearest = []) {
    this.pinnedRow = row;
    this.nearest = nearest;
    this.requestRedraw();
  }

  /** @param {number} row */
  setLinkedHover(row) {
    if (row !== this.linkedHover) {
      this.linkedHover = row;
      this.requestRedraw();
    }
  }

  /** @param {number} row @param {Point | null} at in CSS pixels of the page */
  hover(row, at) {
    if (row !== this.hoveredRow) {
      this.hoveredRow = row;
      this.requestRedraw();
    }
    this.listener.onHover(row, at);
  }

  /** The row of the photo under a point of the canvas, or -1. @param {Point} screen */
  photoUnder(screen) {
    const world = viewport.toWorld(this.view, this.size, screen);
    if (this.t === 1) {
      const cell = cellAt(world.x, world.y, this.run.rows, this.run.columnsAcross);
      return cell < 0 ? -1 : this.run.occupant[cell];
    }
    return photoAt(world.x, world.y, this.centres, this.side, this.run.count);
  }

  /**
   * The next photo in a direction, or -1.
   *
   * @param {number} row @param {number} dx @param {number} dy
   */
  photoBeside(row, dx, dy) {
    if (this.t < 1) {
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

/** Whether the user has asked the system for less motion. */
function prefersReducedMotion() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}
