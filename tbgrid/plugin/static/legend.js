// What the colours mean.

import { numberText } from "./columns.js";
import { element } from "./dom.js";

const MOST = 300;

/**
 * @param {string} name
 * @param {import("./colours.js").Colouring["legend"]} found
 */
export function legend(name, found) {
  if (found.kind === "range") {
    const stops = found.stops.map((colour, index) =>
      `rgb(${colour.join(",")}) ${(100 * index) / (found.stops.length - 1)}%`);
    const bar = element("span", { class: "bar" });
    bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
    return element(
      "div",
      { class: "legend-range" },
      element("b", {}, name),
      element("span", {}, short(found.low)),
      bar,
      element("span", {}, short(found.high)),
      found.missing > 0 ? element("span", { class: "hint" }, "grey: none") : null,
    );
  }
  const shown = found.items.slice(0, MOST);
  const rest = found.items.length - shown.length;
  return element(
    "div",
    { class: "legend-items" },
    element("b", {}, name),
    ...shown.map(({ label, colour, count }) => {
      const patch = element("i", {});
      patch.style.background = `rgb(${colour.join(",")})`;
      const title = `${label}: ${count.toLocaleString("en")} photos`;
      return element("span", { class: "item", title }, patch, label === "" ? "(none)" : label);
    }),
    rest > 0 ? element("span", { class: "hint" }, `and ${rest.toLocaleString("en")} more`) : null,
  );
}

/** @param {number} value */
function short(value) {
  return numberText(Number(value.toPrecision(4)));
}
