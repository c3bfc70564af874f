// The part of the page that belongs to one run: its map, or what is wrong with it.

import { loadRun } from "./data.js";
import { createElement, fill } from "./dom.js";
import { MapView } from "./map_view.js";
import { createErrorBox } from "./messages.js";
import { createOverview } from "./overview.js";
import { DataError } from "./server.js";

/**
 * @typedef {import("./server.js").Listed} Listed
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./map_view.js").Listener} Listener
 */

export class RunPane {
  /** @param {Listed} listed */
  constructor(listed) {
    this.listed = listed;
    /** @type {MapView | null} */
    this.map = null;
    /** @type {Run | null} */
    this.run = null;
    this.caption = createElement("p", { class: "caption", hidden: true });
    this.stage = createElement("div", { class: "stage" });
    this.node = createElement("section", { class: "pane", "aria-label": `Run ${listed.run}` },
      this.caption, this.stage);
    this.destroyed = false;
  }

  /**
   * Show the overview at once, and the map when it has loaded.
   *
   * @param {Listener} listener
   * @returns {Promise<boolean>} whether there is a map
   */
  async open(listener) {
    const overview = createOverview(this.listed);
    if (overview) {
      this.stage.append(overview);
    }
    try {
      const run = await loadRun(this.listed);
      if (this.destroyed) {
        return false;
      }
      this.run = run;
      this.map = new MapView(run, listener);
      this.stage.append(this.map.node);
      if (overview) {
        removeOnceIdle(overview, this.map);
      }
      return true;
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      fill(this.stage, createErrorBox(error.message, error.hint));
      return false;
    }
  }

  /** Write the name, model and quality above the map. @param {boolean} visible */
  updateCaption(visible) {
    const quality = this.run?.manifest.report[0];
    this.caption.hidden = !visible;
    fill(
      this.caption,
      createElement("b", {}, this.listed.run),
      this.run ? ` · ${this.run.manifest.model}` : null,
      quality ? createElement("span", {}, ` · ${quality[0]} ${quality[1]}`) : null,
    );
  }

  destroy() {
    this.destroyed = true;
    this.map?.destroy();
    this.node.remove();
  }
}

/**
 * Remove the overview when the map shows the same.
 *
 * @param {Element} overview @param {MapView} map
 */
function removeOnceIdle(overview, map) {
  const observer = new MutationObserver(() => {
    if (map.node.getAttribute("aria-busy") === "false") {
      overview.remove();
      observer.disconnect();
    }
  });
  observer.observe(map.node, { attributeFilter: ["aria-busy"] });
}
