// Chips for categories, ranges for numbers, and the list of photos that match.

import { createElement, fill } from "./dom.js";
import { applyFilter, countValues, withChip, withRange, withoutChips } from "./filter.js";
import { PhotoList } from "./photo_list.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./filter.js").Filter} Filter
 * @typedef {import("./columns.js").CategoryColumn} CategoryColumn
 * @typedef {import("./columns.js").NumberColumn} NumberColumn
 */

const FEW_CHIPS = 24; // shown before the user asks for all
const MAX_CHIPS = 500;

export class FilterPanel {
  /**
   * @param {import("./photo_list.js").Listener & {onFilter: (filter: Filter) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.facets = createElement("div", { class: "facets" });
    this.heading = createElement("h3", {}, "Photos");
    this.list = new PhotoList("Photos that match", listener);
    this.node = createElement("section", { class: "panel filter-panel" },
      this.facets, this.heading, this.list.node);
    /** @type {Map<string, string>} what was typed to find a chip, by column */
    this.chipSearches = new Map();
    /** @type {Set<string>} columns of which all chips are shown */
    this.expanded = new Set();
  }

  /** @param {Run} run @param {Filter} filter @param {Uint32Array} rows that match */
  show(run, filter, rows) {
    this.run = run;
    this.filter = filter;
    const focused = document.activeElement?.getAttribute("data-focus");
    fill(this.facets, ...run.columns.flatMap((column, index) => {
      if (column.kind === "category") {
        return [this.createChips(run, filter, column, index)];
      }
      return column.kind === "number" && column.low < column.high
        ? [this.createRange(filter, column, index)]
        : [];
    }));
    if (focused) {
      const field = this.facets.querySelector(`[data-focus="${CSS.escape(focused)}"]`);
      if (field instanceof HTMLElement) {
        field.focus({ preventScroll: true });
      }
    }
    this.heading.textContent = rows.length === run.count
      ? `All ${run.count.toLocaleString("en")} photos`
      : `${rows.length.toLocaleString("en")} of ${run.count.toLocaleString("en")} photos`;
    if (this.list.run !== run || !areEqual(this.list.rows, rows)) {
      this.list.show(run, rows);
    }
  }

  /**
   * @param {Run} run @param {Filter} filter
   * @param {CategoryColumn} column @param {number} index
   */
  createChips(run, filter, column, index) {
    // How many photos there are of each value under all other conditions.
    const { mask } = applyFilter(withoutChips(filter, index), run.columns, run.count);
    const counts = countValues(column, mask);
    const box = createElement("div", {});
    const fillBox = () => fill(box, ...this.createChipRow(column, index, filter, counts));
    fillBox();
    return createElement(
      "fieldset",
      {},
      createElement("legend", {}, column.name),
      column.values.length > FEW_CHIPS ? this.createChipSearch(column, index, fillBox) : null,
      box,
    );
  }

  /**
   * @param {CategoryColumn} column @param {number} index @param {Filter} filter
   * @param {Uint32Array} counts of its values
   */
  createChipRow(column, index, filter, counts) {
    const chosen = filter.chips.get(index) ?? new Set();
    const part = (this.chipSearches.get(column.name) ?? "").toLowerCase();
    const codes = Array.from(column.values.keys())
      .filter((code) => !part || column.values[code].toLowerCase().includes(part))
      .sort((a, b) => Number(chosen.has(b)) - Number(chosen.has(a)) || counts[b] - counts[a] ||
        column.counts[b] - column.counts[a] || a - b);
    const isCollapsed = codes.length > FEW_CHIPS && !this.expanded.has(column.name);
    const chips = codes.slice(0, isCollapsed ? FEW_CHIPS : MAX_CHIPS).map((code) =>
      createChip(column.values[code], counts[code], chosen.has(code), `chip ${index} ${code}`,
        () => this.listener.onFilter(withChip(filter, index, code, !chosen.has(code)))));
    const hint = (/** @type {string} */ text) => createElement("p", { class: "hint" }, text);
    return [
      createElement("div", { class: "chips" }, ...chips),
      isCollapsed ? this.createExpandButton(column, codes.length) : null,
      codes.length > MAX_CHIPS && !isCollapsed
        ? hint(`The ${MAX_CHIPS} most frequent values; search to find others.`) : null,
      codes.length === 0 ? hint("No matching value.") : null,
    ];
  }

  /** @param {CategoryColumn} column @param {number} index @param {() => void} onChange */
  createChipSearch(column, index, onChange) {
    return createElement("input", {
      type: "search",
      class: "chip-search",
      "data-focus": `find ${index}`,
      placeholder: `Search ${column.values.length.toLocaleString("en")} values`,
      "aria-label": `Search the values of ${column.name}`,
      value: this.chipSearches.get(column.name) ?? "",
      oninput: (/** @type {Event} */ event) => {
        this.chipSearches.set(
          column.name, /** @type {HTMLInputElement} */ (event.target).value);
        onChange();
      },
    });
  }

  /** @param {CategoryColumn} column @param {number} count */
  createExpandButton(column, count) {
    return createElement(
      "button",
      {
        class: "plain more",
        type: "button",
        onclick: () => {
          this.expanded.add(column.name);
          this.refresh();
        },
      },
      `Show all ${Math.min(count, MAX_CHIPS).toLocaleString("en")}`,
    );
  }

  /** @param {Filter} filter @param {NumberColumn} column @param {number} index */
  createRange(filter, column, index) {
    const { low, high } = column;
    const step = Number.isInteger(low) && Number.isInteger(high) ? 1 : "any";
    /** @type {HTMLInputElement[]} */
    const fields = [];
    const onchange = () => {
      const [from, to] = fields.map((field, end) =>
        field.value === "" ? [low, high][end] : Number(field.value));
      const isWhole = from <= low && to >= high;
      this.listener.onFilter(withRange(filter, index, isWhole ? null : [from, to]));
    };
    for (const [end, value] of (filter.ranges.get(index) ?? [low, high]).entries()) {
      fields.push(
        createElement("input", {
          type: "number",
          step,
          min: low,
          max: high,
          value: String(value),
          "data-focus": `range ${index} ${end}`,
          "aria-label": `${column.name}, ${end ? "at most" : "at least"}`,
          onchange,
        }),
      );
    }
    return createElement(
      "fieldset",
      { class: filter.ranges.has(index) ? "active" : "" },
      createElement("legend", {}, column.name),
      createElement("div", { class: "range" },
        fields[0], createElement("span", {}, "to"), fields[1]),
    );
  }

  refresh() {
    if (this.run && this.filter) {
      this.show(this.run, this.filter, this.list.rows);
    }
  }
}

/**
 * @param {string} value @param {number} count @param {boolean} chosen @param {string} focusKey
 * @param {() => void} onclick
 */
function createChip(value, count, chosen, focusKey, onclick) {
  const text = value === "" ? "(none)" : value;
  return createElement(
    "button",
    {
      class: count ? "chip" : "chip none",
      type: "button",
      "aria-label": `${text}, ${count} photos`,
      "aria-pressed": String(chosen),
      "data-focus": focusKey,
      title: value,
      onclick,
    },
    createElement("span", {}, text),
    createElement("b", {}, count.toLocaleString("en")),
  );
}

/** @param {Uint32Array} a @param {Uint32Array} b */
function areEqual(a, b) {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
