// What the colours mean.

import { numberText } from "./columns.js";
import { element } from "./dom.js";

const MOST = 24;

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
      element("span", {}, numberText(found.low)),
      bar,
      element("span", {}, numberText(found.high)),
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
      return element("span", { title: `${count.toLocaleString("en")} photos` }, patch, label);
    }),
    rest > 0 ? element("span", { class: "hint" }, `and ${rest.toLocaleString("en")} more`) : null,
  );
}
