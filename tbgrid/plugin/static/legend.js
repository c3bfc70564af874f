// What the colours mean.

import { numberText } from "./columns.js";
import { createElement } from "./dom.js";

const MAX_ITEMS = 300;

/**
 * @typedef {import("./colours.js").Categories} Categories
 * @typedef {import("./colours.js").Range} Range
 */

/** @param {string} name @param {Categories | Range} legend */
export function createLegend(name, legend) {
  return legend.kind === "range" ? createRange(name, legend) : createItems(name, legend);
}

/** @param {string} name @param {Range} legend */
function createRange(name, { low, high, stops, missing }) {
  const bar = createElement("span", { class: "bar" });
  const gradient = stops.map((colour, index) =>
    `rgb(${colour.join(",")}) ${(100 * index) / (stops.length - 1)}%`);
  bar.style.background = `linear-gradient(to right, ${gradient.join(", ")})`;
  return createElement(
    "div",
    { class: "legend-range" },
    createElement("b", {}, name),
    createElement("span", {}, shorten(low)),
    bar,
    createElement("span", {}, shorten(high)),
    missing > 0 ? createElement("span", { class: "hint" }, "grey: no value") : null,
  );
}

/** @param {string} name @param {Categories} legend */
function createItems(name, { items }) {
  const shown = items.slice(0, MAX_ITEMS).map(({ label, colour, count }) => {
    const patch = createElement("i", {});
    patch.style.background = `rgb(${colour.join(",")})`;
    const text = label === "" ? "(none)" : label;
    const title = `${text}: ${count.toLocaleString("en")} photos`;
    return createElement("span", { class: "item", title }, patch, text);
  });
  const rest = items.length - shown.length;
  return createElement(
    "div",
    { class: "legend-items" },
    createElement("b", {}, name),
    ...shown,
    rest > 0
      ? createElement("span", { class: "hint" }, `and ${rest.toLocaleString("en")} more`) : null,
  );
}

/** @param {number} value */
function shorten(value) {
  return numberText(Number(value.toPrecision(4)));
}
