// A list of photos of any length: only the rows in sight are on the page.

import { valueText } from "./columns.js";
import { element, fill } from "./dom.js";
import { thumbnail } from "./thumbnail.js";

const ROW = 44; // px, as in the style sheet
const SPARE = 6; // rows above and below what is seen

export class PhotoList {
  /**
   * @param {string} name for screen readers
   * @param {{chosen: (row: number) => void, hovered: (row: number) => void}} listener
   */
  constructor(name, listener) {
    this.listener = listener;
    /** @type {Uint32Array} */
    this.rows = new Uint32Array();
    /** @type {import("./data.js").Run | null} */
    this.run = null;
    this.current = -1;
    this.list = element("ol", { class: "photo-list-rows", "aria-label": name });
    this.node = element("div", { class: "photo-list", onscroll: () => this.draw() }, this.list);
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.node);
  }

  /** @param {import("./data.js").Run} run @param {Uint32Array} rows */
  show(run, rows) {
    this.run = run;
    this.rows = rows;
    this.node.scrollTop = 0;
    this.draw();
  }

  /** Mark a photo as the one in question, and bring it into sight. @param {number} row */
  point(row) {
    this.current = row;
    const index = this.rows.indexOf(row);
    if (index >= 0) {
      const top = index * ROW;
      const { scrollTop, clientHeight } = this.node;
      if (top < scrollTop || top + ROW > scrollTop + clientHeight) {
        this.node.scrollTop = Math.max(0, top - clientHeight / 2);
      }
    }
    this.draw();
  }

  draw() {
    const { run, rows } = this;
    if (!run) {
      return;
    }
    this.list.style.height = `${rows.length * ROW}px`;
    const first = Math.max(0, Math.floor(this.node.scrollTop / ROW) - SPARE);
    const last = Math.min(
      rows.length,
      Math.ceil((this.node.scrollTop + this.node.clientHeight) / ROW) + SPARE,
    );
    const focused = this.list.querySelector("button:focus")?.getAttribute("data-row");
    const items = [];
    for (let index = first; index < last; index++) {
      items.push(this.item(run, rows[index], index));
    }
    fill(this.list, ...items);
    if (focused) {
      this.list.querySelector(`button[data-row="${focused}"]`)
        ?.dispatchEvent(new CustomEvent("refocus"));
    }
  }

  /** @param {import("./data.js").Run} run @param {number} row @param {number} index */
  item(run, row, index) {
    const name = valueText(run.key, row);
    const label = run.label ? valueText(run.label, row) : "";
    const button = element(
      "button",
      {
        class: "photo-row",
        type: "button",
        "data-row": row,
        "aria-pressed": row === this.current ? "true" : "false",
        title: name,
        onclick: () => this.listener.chosen(row),
        onpointerenter: () => this.listener.hovered(row),
        onpointerleave: () => this.listener.hovered(-1),
        onfocus: () => this.listener.hovered(row),
        onblur: () => this.listener.hovered(-1),
        onrefocus: () => button.focus({ preventScroll: true }),
      },
      thumbnail(run, row, 36),
      element("span", { class: "photo-name" }, fileName(name)),
      label ? element("span", { class: "photo-label" }, label) : null,
    );
    const item = element(
      "li",
      { "aria-setsize": this.rows.length, "aria-posinset": index + 1 },
      button,
    );
    item.style.top = `${index * ROW}px`;
    return item;
  }

  end() {
    this.observer.disconnect();
  }
}

/** The last part of a path. @param {string} name */
export function fileName(name) {
  return name.slice(name.lastIndexOf("/") + 1) || name;
}
