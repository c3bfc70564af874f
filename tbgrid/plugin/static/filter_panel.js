// Chips of categories, ranges of numbers, and the photos that are left.

import { element, fill } from "./dom.js";
import { counts, matches, withChip, withRange, withoutChips } from "./filter.js";
import { PhotoList } from "./photo_list.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./filter.js").Filter} Filter
 * @typedef {import("./columns.js").CategoryColumn} CategoryColumn
 * @typedef {import("./columns.js").NumberColumn} NumberColumn
 */

const FEW = 24; // chips that are shown before all are asked for

export class FilterPanel {
  /**
   * @param {{filtered: (filter: Filter) => void, chosen: (row: number) => void,
   *   hovered: (row: number) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.facets = element("div", { class: "facets" });
    this.heading = element("h3", {}, "Photos");
    this.list = new PhotoList("Photos that match", listener);
    this.node = element("section", { class: "panel filter-panel" },
      this.facets, this.heading, this.list.node);
    /** @type {Map<string, string>} what is typed to find a chip, by column */
    this.sought = new Map();
    /** @type {Set<string>} columns of which all chips are shown */
    this.opened = new Set();
  }

  /**
   * @param {Run} run @param {Filter} filter @param {Uint32Array} rows that match
   */
  show(run, filter, rows) {
    this.run = run;
    this.filter = filter;
    const focused = document.activeElement?.getAttribute("data-focus");
    const made = run.columns.flatMap((column, index) => {
      if (column.kind === "category") {
        return [this.chips(run, filter, column, index)];
      }
      return column.kind === "number" && column.low < column.high
        ? [this.range(filter, column, index)]
        : [];
    });
    fill(this.facets, ...made);
    if (focused) {
      const again = this.facets.querySelector(`[data-focus="${CSS.escape(focused)}"]`);
      if (again instanceof HTMLElement) {
        again.focus({ preventScroll: true });
      }
    }
    this.heading.textContent = rows.length === run.count
      ? `All ${run.count.toLocaleString("en")} photos`
      : `${rows.length.toLocaleString("en")} of ${run.count.toLocaleString("en")} photos`;
    if (this.list.run !== run || !same(this.list.rows, rows)) {
      this.list.show(run, rows);
    }
  }

  /** @param {Run} run @param {Filter} filter @param {CategoryColumn} column @param {number} index */
  chips(run, filter, column, index) {
    // How many there would be of each, under all other conditions.
    const { mask } = matches(withoutChips(filter, index), run.columns, run.count);
    const here = counts(column, mask);
    const box = element("div", {});
    const fillBox = () => fill(box, ...this.chipsOf(column, index, filter, here));
    fillBox();
    return element(
      "fieldset",
      {},
      element("legend", {}, column.name),
      column.values.length > FEW ? this.finder(column, index, fillBox) : null,
      box,
    );
  }

  /**
   * @param {CategoryColumn} column @param {number} index @param {Filter} filter
   * @param {Uint32Array} here
   */
  chipsOf(column, index, filter, here) {
    const chosen = filter.chips.get(index) ?? new Set();
    const sought = (this.sought.get(column.name) ?? "").toLowerCase();
    const order = Array.from(column.values.keys())
      .filter((code) => !sought || column.values[code].toLowerCase().includes(sought))
      .sort((a, b) => Number(chosen.has(b)) - Number(chosen.has(a)) || here[b] - here[a] ||
        column.counts[b] - column.counts[a] || a - b);
    const many = order.length > FEW && !this.opened.has(column.name);
    const shown = many ? order.slice(0, FEW) : order.slice(0, 500);
    const chips = shown.map((code) =>
      element(
        "button",
        {
          class: here[code] ? "chip" : "chip none",
          type: "button",
          "aria-label": `${column.values[code] || "(none)"}, ${here[code]} photos`,
          "aria-pressed": String(chosen.has(code)),
          "data-focus": `chip ${index} ${code}`,
          title: column.values[code],
          onclick: () =>
            this.listener.filtered(withChip(filter, index, code, !chosen.has(code))),
        },
        element("span", {}, column.values[code] === "" ? "(none)" : column.values[code]),
        element("b", {}, here[code].toLocaleString("en")),
      ));
    return [
      element("div", { class: "chips" }, ...chips),
      many ? this.opener(column, order.length) : null,
      order.length > 500 && !many
        ? element("p", { class: "hint" }, "The 500 largest; search for others.")
        : null,
      order.length === 0 ? element("p", { class: "hint" }, "No such value.") : null,
    ];
  }

  /** @param {CategoryColumn} column @param {number} index @param {() => void} changed */
  finder(column, index, changed) {
    return element("input", {
      type: "search",
      class: "chip-search",
      "data-focus": `find ${index}`,
      placeholder: `Find one of ${column.values.length.toLocaleString("en")}`,
      "aria-label": `Find a value of ${column.name}`,
      value: this.sought.get(column.name) ?? "",
      oninput: (/** @type {Event} */ event) => {
        this.sought.set(column.name, /** @type {HTMLInputElement} */ (event.target).value);
        changed();
      },
    });
  }

  /** @param {CategoryColumn} column @param {number} count */
  opener(column, count) {
    return element(
      "button",
      {
        class: "plain more",
        type: "button",
        onclick: () => {
          this.opened.add(column.name);
          this.again();
        },
      },
      `Show all ${Math.min(count, 500).toLocaleString("en")}`,
    );
  }

  /** @param {Filter} filter @param {NumberColumn} column @param {number} index */
  range(filter, column, index) {
    const [low, high] = filter.ranges.get(index) ?? [column.low, column.high];
    const whole = Number.isInteger(column.low) && Number.isInteger(column.high);
    const step = whole ? 1 : "any";
    /** @type {HTMLInputElement[]} */
    const fields = [];
    const changed = () => {
      const [from, to] = fields.map((field, end) =>
        field.value === "" ? [column.low, column.high][end] : Number(field.value));
      const all = from <= column.low && to >= column.high;
      this.listener.filtered(withRange(filter, index, all ? null : [from, to]));
    };
    for (const [end, value] of [low, high].entries()) {
      fields.push(
        element("input", {
          type: "number",
          step,
          min: column.low,
          max: column.high,
          value: String(value),
          "data-focus": `range ${index} ${end}`,
          "aria-label": `${column.name}, ${end ? "at most" : "at least"}`,
          onchange: changed,
        }),
      );
    }
    return element(
      "fieldset",
      { class: filter.ranges.has(index) ? "active" : "" },
      element("legend", {}, column.name),
      element("div", { class: "range" }, fields[0], element("span", {}, "to"), fields[1]),
    );
  }

  again() {
    if (this.run && this.filter) {
      this.show(this.run, this.filter, this.list.rows);
    }
  }
}

/** @param {Uint32Array} a @param {Uint32Array} b */
function same(a, b) {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
