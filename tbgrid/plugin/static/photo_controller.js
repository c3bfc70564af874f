// Filters, selects, colours, pins and points at the photos on the page.

import { colourRun, listColourChoices } from "./colouring.js";
import { valueText } from "./columns.js";
import { fill } from "./dom.js";
import { applyFilter, formatFilter, parseFilter } from "./filter.js";
import { createLegend } from "./legend.js";
import { countRows, maskToRows } from "./masks.js";
import { PhotoState } from "./photo_state.js";
import { mapMask } from "./row_mapping.js";
import { DataError } from "./server.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./filter.js").Filter} Filter
 * @typedef {import("./run_pane.js").RunPane} RunPane
 * @typedef {object} Parts of the page
 * @property {import("./stage.js").Stage} stage
 * @property {import("./toolbar.js").Toolbar} toolbar
 * @property {import("./messages.js").Messages} messages
 * @property {import("./tabs.js").Tabs} tabs
 * @property {import("./tooltip.js").Tooltip} tooltip
 * @property {HTMLElement} legend
 * @property {import("./filter_panel.js").FilterPanel} filterPanel
 * @property {import("./photo_panel.js").PhotoPanel} photoPanel
 * @property {import("./selection_panel.js").SelectionPanel} selectionPanel
 */

export class PhotoController {
  /**
   * @param {Parts} parts @param {() => void} onChange called when a link would say something else
   * @param {(message: string) => void} onError called when a file could not be loaded
   */
  constructor(parts, onChange, onError) {
    this.parts = parts;
    this.onChange = onChange;
    this.onError = onError;
    this.state = new PhotoState();
    this.colour = ""; // a value of `listColourChoices`
  }

  // ---- filter, selection, colours

  /** @param {Filter} filter */
  setFilter(filter) {
    const { state } = this;
    const { stage, toolbar, filterPanel, selectionPanel } = this.parts;
    const run = stage.activeRun;
    if (!run) {
      return;
    }
    const problem = state.setFilter(run, filter);
    toolbar.setHits(state.hits.length, run.count, state.isFiltered, problem);
    filterPanel.show(run, filter, state.hits);
    selectionPanel.show(run, maskToRows(state.selection), state.isFiltered);
    this.paint();
  }

  /** Pin the next or the previous hit. @param {1 | -1} step */
  stepHit(step) {
    const row = this.state.stepHit(step);
    if (row >= 0) {
      this.parts.filterPanel.list.point(row);
      this.pin(row);
      this.parts.stage.activeMap?.lookAt(row);
    }
  }

  /** @param {(state: PhotoState) => void} change */
  changeSelection(change) {
    const { state } = this;
    const run = this.parts.stage.activeRun;
    if (run) {
      change(state);
      this.parts.selectionPanel.show(run, maskToRows(state.selection), state.isFiltered);
      this.paint();
    }
  }

  /** @param {string} colour */
  setColour(colour) {
    this.colour = colour;
    this.paint();
  }

  /** Offer what the photos of a run can be coloured by. @param {Run} run */
  updateColourChoices(run) {
    const choices = listColourChoices(run);
    if (!choices.some(({ value }) => value === this.colour)) {
      this.colour = "";
    }
    this.parts.toolbar.setColours(choices, this.colour);
  }

  /** Give the maps their marks and colours. */
  paint() {
    const { state } = this;
    const { stage, tabs, legend } = this.parts;
    const run = stage.activeRun;
    if (!run) {
      return;
    }
    const filterText = formatFilter(state.filter, run.columns);
    for (const pane of stage.panes) {
      if (!pane.run || !pane.map) {
        continue;
      }
      const isActive = pane.run === run;
      const { columns, count } = pane.run;
      const passes = isActive
        ? state.passes : applyFilter(parseFilter(filterText, columns), columns, count).mask;
      const selection = isActive ? state.selection : mapMask(run, pane.run, state.selection);
      const colouring = colourRun(pane.run, this.colour, stage.runs);
      pane.map.setMarks(passes, selection, colouring?.colours ?? null, colouring?.kind ?? 0);
      if (isActive) {
        fill(legend, colouring ? createLegend(colouring.name, colouring.legend) : null);
        legend.hidden = !colouring;
      }
    }
    const selected = countRows(state.selection);
    tabs.setTitle("selection",
      selected ? `Selection ${selected.toLocaleString("en")}` : "Selection");
    this.onChange();
  }

  /** Make the panels be about the run of a pane. @param {RunPane} pane */
  activate(pane) {
    const { stage } = this.parts;
    const index = stage.panes.indexOf(pane);
    const run = stage.activeRun;
    if (index === stage.activeIndex || !pane.run || !run) {
      return;
    }
    this.state.transfer(run, pane.run);
    stage.activeIndex = index;
    stage.updateCaptions();
    this.setFilter(this.state.filter);
  }

  // ---- single photos

  /** @param {number} row -1: none @param {boolean} [look] bring it into view */
  async pin(row, look = false) {
    const { stage, tabs, photoPanel } = this.parts;
    const { activeRun: run, activeMap: map } = stage;
    if (!run || !map) {
      return;
    }
    this.state.pinnedRow = row;
    stage.pin(run, row);
    this.onChange();
    if (row < 0) {
      photoPanel.clear();
      return;
    }
    if (look) {
      map.lookAt(row);
      tabs.show("photo");
    }
    this.announce(run, row);
    photoPanel.show(run, row, null);
    try {
      const nearest = await run.findNearest(row);
      if (this.state.pinnedRow === row && stage.activeRun === run) {
        map.pin(row, nearest);
        photoPanel.show(run, row, nearest);
      }
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      this.onError(`${error.message}: ${error.hint}`);
    }
  }

  /** @returns {boolean} whether a photo was pinned */
  unpin() {
    const wasPinned = this.state.pinnedRow >= 0;
    if (wasPinned) {
      this.pin(-1);
    }
    return wasPinned;
  }

  /**
   * Select the photo that the mouse or the keyboard points at in a pane, or deselect it.
   *
   * @param {RunPane | undefined} pane
   * @returns {boolean} whether there is one
   */
  toggleHovered(pane) {
    const row = pane?.map?.hoveredRow ?? -1;
    if (!pane || row < 0) {
      return false;
    }
    this.activate(pane);
    this.changeSelection((state) => state.toggleRow(row));
    return true;
  }

  /**
   * A photo on a map is pointed at: show its tooltip, and where it is on the other map.
   *
   * @param {RunPane} pane @param {number} row -1: none
   * @param {import("./viewport.js").Point | null} at null if the keyboard moved
   */
  hover(pane, row, at) {
    const { stage, tooltip } = this.parts;
    const { run } = pane;
    if (!run) {
      return;
    }
    const isPinned = run === stage.activeRun && row === this.state.pinnedRow;
    if (row >= 0 && at && !isPinned) {
      const side = pane.map ? pane.map.view.scale * pane.map.side : 0;
      tooltip.show(run, row, at, side);
    } else {
      tooltip.hide();
    }
    if (row >= 0 && !at) {
      this.announce(run, row);
    }
    stage.linkHover(run, row, pane);
  }

  /** A photo in a list is pointed at: mark it on the maps. @param {number} row -1: none */
  hoverInList(row) {
    const { stage } = this.parts;
    if (stage.activeRun) {
      stage.linkHover(stage.activeRun, row);
    }
  }

  /** Have a screen reader name a photo. @param {Run} run @param {number} row */
  announce(run, row) {
    const label = run.label ? `, ${valueText(run.label, row)}` : "";
    this.parts.messages.announce(`${valueText(run.key, row)}${label}`);
  }
}
