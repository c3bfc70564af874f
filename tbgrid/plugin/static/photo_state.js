// The state of the active run's photos: the filter with its hits, the selection, and the pinned
// photo. It knows nothing of the page.

import { EMPTY_FILTER, applyFilter, formatFilter, isEmpty, parseFilter } from "./filter.js";
import { emptyMask, intersect, maskToRows, rowsToMask, subtract, union } from "./masks.js";
import { mapMask } from "./row_mapping.js";

/**
 * @typedef {import("./filter.js").Filter} Filter
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {Pick<import("./data.js").Run, "count" | "columns" | "key">} Photos of a run
 */

export class PhotoState {
  constructor() {
    /** @type {Filter} */
    this.filter = EMPTY_FILTER;
    /** @type {Uint8Array} mask of the photos that pass the filter */
    this.passes = new Uint8Array();
    /** @type {Uint32Array} their rows */
    this.hits = new Uint32Array();
    this.hitIndex = -1; // of the hit that was stepped to last
    /** @type {Uint8Array} mask */
    this.selection = new Uint8Array();
    this.pinnedRow = -1;
  }

  get isFiltered() {
    return !isEmpty(this.filter);
  }

  /** Start over with the photos of another run. @param {Photos} photos @param {Filter} filter */
  reset(photos, filter) {
    this.filter = filter;
    this.selection = emptyMask(photos.count);
  }

  /**
   * Go over to another run: its filter has the same words and its selection the same photos.
   *
   * @param {Photos} from @param {Photos} to
   */
  transfer(from, to) {
    this.filter = parseFilter(formatFilter(this.filter, from.columns), to.columns);
    this.selection = mapMask(from, to, this.selection);
    this.pinnedRow = -1;
  }

  /**
   * @param {Photos} photos @param {Filter} filter
   * @returns {string | null} what is wrong with the query, or why there may be no hits
   */
  setFilter(photos, filter) {
    const { mask, error, hint } = applyFilter(filter, photos.columns, photos.count);
    this.filter = filter;
    this.passes = mask;
    this.hits = maskToRows(mask);
    this.hitIndex = -1;
    return error ?? hint;
  }

  /**
   * Step to the next or the previous hit, in the order of rows and from the last to the first.
   *
   * @param {1 | -1} step
   * @returns {number} its row, or -1 if there are no hits
   */
  stepHit(step) {
    const { length } = this.hits;
    if (length === 0) {
      return -1;
    }
    if (this.hitIndex < 0) {
      this.hitIndex = step > 0 ? 0 : length - 1;
    } else {
      this.hitIndex = (this.hitIndex + step + length) % length;
    }
    return this.hits[this.hitIndex];
  }

  /** @param {Uint8Array} mask @param {Mode} mode */
  select(mask, mode) {
    if (mode === "replace") {
      this.selection = mask;
    } else {
      this.selection = (mode === "add" ? union : subtract)(this.selection, mask);
    }
  }

  /**
   * Select what was drawn around on the map. Dimmed photos are not added, but can be removed.
   *
   * @param {Uint8Array} mask @param {Mode} mode
   */
  selectDrawn(mask, mode) {
    this.select(mode === "subtract" ? mask : intersect(mask, this.passes), mode);
  }

  /** @param {number} row @param {Mode} mode */
  selectRow(row, mode) {
    this.select(rowsToMask(Uint32Array.of(row), this.selection.length), mode);
  }

  /** Select a photo, or deselect it. @param {number} row */
  toggleRow(row) {
    this.selectRow(row, this.selection[row] ? "subtract" : "add");
  }

  clearSelection() {
    this.selection = emptyMask(this.selection.length);
  }

  invertSelection() {
    this.selection = this.selection.map((bit) => 1 - bit);
  }

  /** Add all hits to the selection. */
  selectHits() {
    this.select(this.passes, "add");
  }

  /** Deselect everything but hits. */
  keepHits() {
    this.selection = intersect(this.selection, this.passes);
  }
}
