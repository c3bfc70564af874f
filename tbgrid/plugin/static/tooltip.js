// What is told of the photo under the pointer.

import { valueText } from "./columns.js";
import { element, fill } from "./dom.js";
import { fileName } from "./photo_list.js";
import { thumbnail } from "./thumbnail.js";

const AWAY = 16; // px from the pointer
const SIDE = 128; // px of the picture, which is left out where the map shows a larger one
const MOST = 8; // columns

export class Tooltip {
  constructor() {
    this.node = element("div", { class: "tooltip", role: "tooltip", hidden: true });
    this.shown = "";
  }

  /**
   * @param {import("./data.js").Run} run @param {number} row @param {{x: number, y: number}} at
   * @param {number} side of the photo on the map, in pixels
   */
  show(run, row, at, side) {
    const large = side >= SIDE;
    const rest = run.columns.length - MOST;
    const key = `${run.name} ${run.fingerprint} ${row} ${large}`;
    if (key !== this.shown) {
      this.shown = key;
      const name = valueText(run.key, row);
      fill(
        this.node,
        large ? null : thumbnail(run, row, SIDE),
        element(
          "div",
          {},
          element("strong", {}, fileName(name)),
          ...run.columns.slice(0, MOST).map((column) =>
            element(
              "div",
              { class: "line" },
              element("span", {}, column.name),
              element("span", {}, valueText(column, row)),
            )),
          rest > 0 ? element("div", { class: "hint" }, `and ${rest} more: click`) : null,
        ),
      );
    }
    this.node.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.node;
    const left = at.x + AWAY + width < innerWidth ? at.x + AWAY : at.x - AWAY - width;
    const top = Math.min(at.y + AWAY, innerHeight - height - 4);
    this.node.style.transform = `translate(${Math.max(4, left)}px, ${Math.max(4, top)}px)`;
  }

  hide() {
    this.node.hidden = true;
  }
}
