// The maps of one or two runs, side by side. One of them is active: the panel is about its run.

import { createElement, fill } from "./dom.js";
import { mapRow } from "./row_mapping.js";
import { RunPane } from "./run_pane.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./map_view.js").Listener} Listener
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {import("./map_view.js").Tool} Tool
 * @typedef {import("./server.js").Listed} Listed
 */

export class Stage {
  /** @param {(t: number) => void} onSnap called while photos move to or from the grid */
  constructor(onSnap) {
    this.onSnap = onSnap;
    this.node = createElement("main", { class: "maps" });
    /** @type {RunPane[]} */
    this.panes = [];
    this.activeIndex = 0;
    this.t = 1; // 0: photos at their layout positions, 1: in their cells
    /** @type {Tool} */
    this.tool = "move";
    /** @type {Mode} */
    this.mode = "replace";
  }

  /** The maps that have loaded. */
  get maps() {
    return this.panes.flatMap((pane) => (pane.map ? [pane.map] : []));
  }

  /** The runs that have loaded. */
  get runs() {
    return this.panes.flatMap((pane) => (pane.run ? [pane.run] : []));
  }

  get activePane() {
    return this.panes[this.activeIndex] ?? this.panes[0];
  }

  get activeMap() {
    return this.activePane?.map ?? null;
  }

  get activeRun() {
    return this.activePane?.run ?? null;
  }

  /**
   * Show these runs; a map that shows the same export already is kept unless `reload`.
   *
   * @param {Listed[]} listed one or two @param {boolean} reload
   */
  setRuns(listed, reload) {
    const panes = listed.map((item) => {
      const shown = this.panes.find((pane) =>
        pane.listed.run === item.run && pane.listed.export === item.export && pane.map);
      return shown && !reload ? shown : new RunPane(item);
    });
    for (const pane of this.panes) {
      if (!panes.includes(pane)) {
        pane.destroy();
      }
    }
    this.panes = panes;
    this.activeIndex = 0;
    this.node.replaceChildren(...panes.map((pane) => pane.node));
    this.node.dataset.count = String(panes.length);
  }

  /**
   * Load the maps that are missing.
   *
   * @param {(pane: RunPane) => Listener} createListener
   * @returns {Promise<boolean>} false if other runs have been chosen meanwhile
   */
  async load(createListener) {
    const { panes } = this;
    await Promise.all(panes.map((pane) => (pane.map ? true : pane.open(createListener(pane)))));
    return this.panes === panes;
  }

  /** Show something in place of the maps. @param {HTMLElement} box */
  showBox(box) {
    fill(this.node, box);
  }

  clear() {
    for (const pane of this.panes) {
      pane.destroy();
    }
    this.panes = [];
  }

  updateCaptions() {
    const several = this.panes.length > 1;
    for (const [index, pane] of this.panes.entries()) {
      pane.updateCaption(several);
      pane.node.classList.toggle("active", several && index === this.activeIndex);
    }
  }

  /** Bring maps that have just loaded in line with the controls. */
  prepareMaps() {
    for (const map of this.maps) {
      map.resize();
      map.snapTo(this.t);
      map.tool = this.tool;
      map.mode = this.mode;
    }
  }

  /**
   * Move all photos between their layout positions (0) and their cells (1).
   *
   * @param {number} t @param {boolean} animate
   */
  snap(t, animate) {
    this.maps.forEach((map, index) => map.snapTo(t, {
      animate,
      onStep: (value) => {
        if (index === 0) {
          this.t = value;
          this.onSnap(value);
        }
      },
    }));
    this.t = t;
  }

  /** @param {Tool} tool */
  setTool(tool) {
    this.tool = tool;
    for (const map of this.maps) {
      map.tool = tool;
    }
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.mode = mode;
    for (const map of this.maps) {
      map.mode = mode;
    }
  }

  /** Pin a photo of a run in all maps. @param {Run} run @param {number} row -1: none */
  pin(run, row) {
    for (const map of this.maps) {
      map.pin(mapRow(run, map.run, row));
    }
  }

  /**
   * Mark the photo that is pointed at, in all maps but the one where the pointer is.
   *
   * @param {Run} run @param {number} row of it, -1: none @param {RunPane} [source]
   */
  linkHover(run, row, source) {
    for (const pane of this.panes) {
      if (pane !== source && pane.run && pane.map) {
        pane.map.setLinkedHover(mapRow(run, pane.run, row));
      }
    }
  }
}
