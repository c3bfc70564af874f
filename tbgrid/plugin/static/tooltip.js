// What is known of the photo under the pointer.

import { valueText } from "./columns.js";
import { createElement, fill } from "./dom.js";
import { fileName } from "./photo_list.js";
import { createThumbnail } from "./thumbnail.js";

const OFFSET = 16; // px from the pointer
const MARGIN = 4; // px to the edge of the window
const SIDE = 128; // px of the picture, which is left out if the map shows a larger one
const MAX_COLUMNS = 8;

export class Tooltip {
  constructor() {
    this.node = createElement("div", { class: "tooltip", role: "tooltip", hidden: true });
    this.contentKey = ""; // says what is shown, so that it is built only once
  }

  /**
   * @param {import("./data.js").Run} run @param {number} row @param {{x: number, y: number}} at
   * @param {number} side of the photo on the map, in pixels
   */
  show(run, row, at, side) {
    const isLarge = side >= SIDE;
    const key = `${run.name} ${run.fingerprint} ${row} ${isLarge}`;
    if (key !== this.contentKey) {
      this.contentKey = key;
      fill(this.node, isLarge ? null : createThumbnail(run, row, SIDE), createFacts(run, row));
    }
    this.node.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const fitsRight = at.x + OFFSET + width < innerWidth;
    const left = fitsRight ? at.x + OFFSET : at.x - OFFSET - width;
    const top = Math.min(at.y + OFFSET, innerHeight - height - MARGIN);
    this.node.style.transform =
      `translate(${Math.max(MARGIN, left)}px, ${Math.max(MARGIN, top)}px)`;
  }

  hide() {
    this.node.hidden = true;
  }
}

/** @param {import("./data.js").Run} run @param {number} row */
function createFacts(run, row) {
  const rest = run.columns.length - MAX_COLUMNS;
  return createElement(
    "div",
    {},
    createElement("strong", {}, fileName(valueText(run.key, row))),
    ...run.columns.slice(0, MAX_COLUMNS).map((column) =>
      createElement(
        "div",
        { class: "line" },
        createElement("span", {}, column.name),
        createElement("span", {}, valueText(column, row)),
      )),
    rest > 0 ? createElement("div", { class: "hint" }, `${rest} more: click to see all`) : null,
  );
}
