// The pinned photo: enlarged, with its metadata and its nearest photos by embedding.

import { valueText } from "./columns.js";
import { createElement, fill } from "./dom.js";
import { cellDistance } from "./geometry.js";
import { createRowHandlers, fileName } from "./photo_list.js";
import { createThumbnail } from "./thumbnail.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {{row: number, distance: number}} Neighbour
 */

const FALLBACK_SIDE = 160; // px of the picture of a run without previews
const THUMBNAIL = 44; // px

export class PhotoPanel {
  /**
   * @param {import("./photo_list.js").Listener & {onShowOnMap: (row: number) => void,
   *   onSelect: (row: number) => void, onUnpin: () => void, onError: (message: string) => void}}
   *   listener
   */
  constructor(listener) {
    this.listener = listener;
    this.node = createElement("section", { class: "panel photo-panel" });
    this.clear();
  }

  clear() {
    fill(
      this.node,
      createElement(
        "p",
        { class: "hint" },
        "Click a photo on the map to see it here enlarged, with its metadata and its nearest " +
          "photos by embedding.",
      ),
    );
  }

  /**
   * @param {Run} run @param {number} row
   * @param {Neighbour[] | null} nearest null while they are loading
   */
  show(run, row, nearest) {
    const name = valueText(run.key, row);
    const [line, column] = [Math.floor(run.cells[row] / run.columnsAcross),
      run.cells[row] % run.columnsAcross];
    fill(
      this.node,
      this.createHead(name),
      this.createPicture(run, row, name),
      this.createActions(run, row),
      createFacts([
        ...run.columns.map((own) => /** @type {const} */ ([own.name, valueText(own, row)])),
        ["grid cell", `row ${line + 1}, column ${column + 1}`],
        ["harmony with neighbours", formatNumber(run.harmony[row])],
      ]),
      createElement("h3", {}, `Nearest by embedding (${run.manifest.metric})`),
      this.createNearest(run, row, nearest),
    );
  }

  /** @param {string} name */
  createHead(name) {
    return createElement(
      "div",
      { class: "photo-head" },
      createElement("h2", { title: name }, fileName(name)),
      createElement(
        "button",
        { class: "plain", type: "button", title: "Unpin (Esc)", "aria-label": "Unpin",
          onclick: () => this.listener.onUnpin() },
        "×",
      ),
    );
  }

  /** @param {Run} run @param {number} row @param {string} name */
  createPicture(run, row, name) {
    if (!run.manifest.preview) {
      const thumbnail = createThumbnail(run, row, FALLBACK_SIDE);
      thumbnail.classList.add("large");
      return thumbnail;
    }
    const picture = createElement("img",
      { class: "large", alt: name, src: run.previewAddress(row) });
    picture.addEventListener("error", () => {
      const message = "The preview of this photo could not be loaded";
      picture.replaceWith(createElement("p", { class: "hint" }, message));
      this.listener.onError(message);
    });
    return picture;
  }

  /** @param {Run} run @param {number} row */
  createActions(run, row) {
    const { listener } = this;
    return createElement(
      "div",
      { class: "buttons" },
      createElement("button", { type: "button", onclick: () => listener.onShowOnMap(row) },
        "Show on map"),
      createElement("button", { type: "button", onclick: () => listener.onSelect(row) }, "Select"),
      run.manifest.preview
        ? createElement("a",
            { href: run.previewAddress(row), target: "_blank", class: "button" }, "Open")
        : null,
    );
  }

  /** @param {Run} run @param {number} row @param {Neighbour[] | null} nearest */
  createNearest(run, row, nearest) {
    if (!nearest) {
      return createElement("p", { class: "hint", "aria-busy": "true" }, "…");
    }
    const isExact = run.manifest.neighbours_exact;
    return createElement(
      "div",
      {},
      createElement("ol", { class: "nearest", "aria-label": "Nearest by embedding" },
        ...nearest.map((neighbour) => this.createNeighbour(run, row, neighbour))),
      isExact ? null : createElement("p", { class: "hint" }, "Found by an approximate search."),
    );
  }

  /** @param {Run} run @param {number} row of the pinned photo @param {Neighbour} neighbour */
  createNeighbour(run, row, { row: other, distance }) {
    const name = valueText(run.key, other);
    const label = run.label ? valueText(run.label, other) : "";
    const cells = cellDistance(run.cells[row], run.cells[other], run.columnsAcross);
    const distances = `distance ${formatNumber(distance)} · ${formatNumber(cells, 1)} cells away`;
    return createElement(
      "li",
      {},
      createElement(
        "button",
        {
          class: "photo-row",
          type: "button",
          title: name,
          ...createRowHandlers(this.listener, other),
        },
        createThumbnail(run, other, THUMBNAIL),
        createElement("span", { class: "photo-name" },
          fileName(name), createElement("small", {}, distances)),
        label ? createElement("span", { class: "photo-label" }, label) : null,
      ),
    );
  }
}

/** @param {readonly (readonly [string, string])[]} facts names and values */
function createFacts(facts) {
  return createElement(
    "dl",
    { class: "facts" },
    ...facts.flatMap(([name, value]) => [
      createElement("dt", {}, name),
      createElement("dd", {}, value === "" ? "–" : value),
    ]),
  );
}

/** @param {number} value @param {number} [digits] */
function formatNumber(value, digits = 3) {
  return Number.isFinite(value) ? value.toFixed(digits) : "–";
}
