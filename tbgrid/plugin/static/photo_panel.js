// The photo in question: large, with all that is known of it, and its nearest by embedding.

import { valueText } from "./columns.js";
import { element, fill } from "./dom.js";
import { cellDistance } from "./geometry.js";
import { fileName } from "./photo_list.js";
import { thumbnail } from "./thumbnail.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {{row: number, distance: number}} Near
 */

export class PhotoPanel {
  /**
   * @param {{chosen: (row: number) => void, hovered: (row: number) => void,
   *   shown: (row: number) => void, taken: (row: number) => void, closed: () => void,
   *   troubled: (message: string) => void}} listener
   */
  constructor(listener) {
    this.listener = listener;
    this.node = element("section", { class: "panel photo-panel" });
    this.clear();
  }

  clear() {
    fill(
      this.node,
      element(
        "p",
        { class: "hint" },
        "Click a photo on the map to see it here, large, with what is known of it and its " +
          "nearest photos by embedding.",
      ),
    );
  }

  /** @param {Run} run @param {number} row @param {Near[] | null} nearest null: on their way */
  show(run, row, nearest) {
    const name = valueText(run.key, row);
    const [cells, across] = [run.cells, run.columnsAcross];
    const place = `row ${Math.floor(cells[row] / across) + 1}, column ${(cells[row] % across) + 1}`;
    fill(
      this.node,
      element(
        "div",
        { class: "photo-head" },
        element("h2", { title: name }, fileName(name)),
        element(
          "button",
          { class: "plain", type: "button", title: "Unpin (Esc)", "aria-label": "Unpin",
            onclick: () => this.listener.closed() },
          "×",
        ),
      ),
      this.picture(run, row, name),
      element(
        "div",
        { class: "buttons" },
        button("Show on map", () => this.listener.shown(row)),
        button("Select", () => this.listener.taken(row)),
        run.manifest.preview
          ? element("a", { href: run.previewAddress(row), target: "_blank", class: "button" }, "Open")
          : null,
      ),
      facts([
        ...run.columns.map((column) => /** @type {const} */ ([column.name, valueText(column, row)])),
        ["on the grid", place],
        ["harmony with neighbours", number(run.harmony[row])],
      ]),
      element("h3", {}, `Nearest by embedding (${run.manifest.metric})`),
      this.nearestList(run, row, nearest),
    );
  }

  /** @param {Run} run @param {number} row @param {string} name */
  picture(run, row, name) {
    if (!run.manifest.preview) {
      const side = 160;
      const made = thumbnail(run, row, side);
      made.classList.add("large");
      return made;
    }
    const picture = element("img", { class: "large", alt: name, src: run.previewAddress(row) });
    picture.addEventListener("error", () => {
      const message = "This photo's preview cannot be read";
      picture.replaceWith(element("p", { class: "hint" }, message));
      this.listener.troubled(message);
    });
    return picture;
  }

  /** @param {Run} run @param {number} row @param {Near[] | null} nearest */
  nearestList(run, row, nearest) {
    if (!nearest) {
      return element("p", { class: "hint", "aria-busy": "true" }, "…");
    }
    const items = nearest.map((near) => {
      const name = valueText(run.key, near.row);
      const label = run.label ? valueText(run.label, near.row) : "";
      const away = cellDistance(run.cells[row], run.cells[near.row], run.columnsAcross);
      return element(
        "li",
        {},
        element(
          "button",
          {
            class: "photo-row",
            type: "button",
            title: name,
            onclick: () => this.listener.chosen(near.row),
            onpointerenter: () => this.listener.hovered(near.row),
            onpointerleave: () => this.listener.hovered(-1),
            onfocus: () => this.listener.hovered(near.row),
            onblur: () => this.listener.hovered(-1),
          },
          thumbnail(run, near.row, 44),
          element(
            "span",
            { class: "photo-name" },
            fileName(name),
            element(
              "small",
              {},
              `distance ${number(near.distance)} · ${number(away, 1)} cells away`,
            ),
          ),
          label ? element("span", { class: "photo-label" }, label) : null,
        ),
      );
    });
    const exact = run.manifest.neighbours_exact;
    return element(
      "div",
      {},
      element("ol", { class: "nearest", "aria-label": "Nearest by embedding" }, ...items),
      exact ? null : element("p", { class: "hint" }, "Found by an approximate search."),
    );
  }
}

/** @param {string} text @param {() => void} pressed */
function button(text, pressed) {
  return element("button", { type: "button", onclick: pressed }, text);
}

/**
 * Names and values, for people.
 *
 * @param {readonly (readonly [string, string])[]} pairs
 */
export function facts(pairs) {
  return element(
    "dl",
    { class: "facts" },
    ...pairs.flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, value === "" ? "–" : value),
    ]),
  );
}

/** @param {number} value @param {number} [digits] */
function number(value, digits = 3) {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}
