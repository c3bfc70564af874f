// A list of photos of any length: only the rows in sight are on the page.

import { valueText } from "./columns.js";
import { createElement, fill } from "./dom.js";
import { createThumbnail } from "./thumbnail.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {object} Listener what a list of photos reports
 * @property {(row: number) => void} onChoose
 * @property {(row: number) => void} onHover by mouse or focus; -1: none
 */

const ROW_HEIGHT = 44; // px, as in the style sheet
const OVERSCAN = 6; // rows above and below those in sight
const THUMBNAIL = 36; // px

export class PhotoList {
  /** @param {string} name for screen readers @param {Listener} listener */
  constructor(name, listener) {
    this.listener = listener;
    /** @type {Uint32Array} */
    this.rows = new Uint32Array();
    /** @type {Run | null} */
    this.run = null;
    this.current = -1; // the row that is highlighted
    this.list = createElement("ol", { class: "photo-list-rows", "aria-label": name });
    this.node = createElement("div", { class: "photo-list", onscroll: () => this.draw() },
      this.list);
    new ResizeObserver(() => this.draw()).observe(this.node);
  }

  /** @param {Run} run @param {Uint32Array} rows */
  show(run, rows) {
    this.run = run;
    this.rows = rows;
    this.node.scrollTop = 0;
    this.draw();
  }

  /** Highlight a photo and scroll to it. @param {number} row */
  point(row) {
    this.current = row;
    const index = this.rows.indexOf(row);
    if (index >= 0) {
      const top = index * ROW_HEIGHT;
      const { scrollTop, clientHeight } = this.node;
      if (top < scrollTop || top + ROW_HEIGHT > scrollTop + clientHeight) {
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
    this.list.style.height = `${rows.length * ROW_HEIGHT}px`;
    const { scrollTop, clientHeight } = this.node;
    const first = Math.max(0, Math.floor(scrollTop / ROW_HEIGHT) - OVERSCAN);
    const last = Math.min(rows.length,
      Math.ceil((scrollTop + clientHeight) / ROW_HEIGHT) + OVERSCAN);
    const focused = this.list.querySelector("button:focus")?.getAttribute("data-row");
    const items = [];
    for (let index = first; index < last; index++) {
      items.push(this.createItem(run, rows[index], index));
    }
    fill(this.list, ...items);
    if (focused) {
      /** @type {HTMLElement | null} */
      const button = this.list.querySelector(`button[data-row="${focused}"]`);
      button?.focus({ preventScroll: true });
    }
  }

  /** @param {Run} run @param {number} row @param {number} index in the list */
  createItem(run, row, index) {
    const name = valueText(run.key, row);
    const label = run.label ? valueText(run.label, row) : "";
    const item = createElement(
      "li",
      { "aria-setsize": this.rows.length, "aria-posinset": index + 1 },
      createElement(
        "button",
        {
          class: "photo-row",
          type: "button",
          "data-row": row,
          "aria-pressed": row === this.current ? "true" : "false",
          title: name,
          ...createRowHandlers(this.listener, row),
        },
        createThumbnail(run, row, THUMBNAIL),
        createElement("span", { class: "photo-name" }, fileName(name)),
        label ? createElement("span", { class: "photo-label" }, label) : null,
      ),
    );
    item.style.top = `${index * ROW_HEIGHT}px`;
    return item;
  }
}

/**
 * The handlers of a button that stands for a photo.
 *
 * @param {Listener} listener @param {number} row
 */
export function createRowHandlers(listener, row) {
  return {
    onclick: () => listener.onChoose(row),
    onpointerenter: () => listener.onHover(row),
    onpointerleave: () => listener.onHover(-1),
    onfocus: () => listener.onHover(row),
    onblur: () => listener.onHover(-1),
  };
}

/** The last part of a path. @param {string} name */
export function fileName(name) {
  return name.slice(name.lastIndexOf("/") + 1) || name;
}
