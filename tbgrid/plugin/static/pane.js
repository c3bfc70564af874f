// The place of one run on the page: its map, or what is wrong with it.

import { loadRun } from "./data.js";
import { element, fill } from "./dom.js";
import { MapView } from "./map_view.js";
import { overview } from "./overview.js";
import { DataError } from "./server.js";

/**
 * @typedef {import("./server.js").Listed} Listed
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./map_view.js").Listener} Listener
 */

export class Pane {
  /** @param {Listed} listed */
  constructor(listed) {
    this.listed = listed;
    /** @type {MapView | null} */
    this.map = null;
    /** @type {Run | null} */
    this.run = null;
    this.caption = element("p", { class: "caption", hidden: true });
    this.stage = element("div", { class: "stage" });
    this.node = element("section", { class: "pane", "aria-label": `Run ${listed.run}` },
      this.caption, this.stage);
    this.ended = false;
  }

  /**
   * Show the overview at once and the map when it is there.
   *
   * @param {Listener} listener
   * @returns {Promise<boolean>} whether there is a map
   */
  async open(listener) {
    this.overview = overview(this.listed);
    if (this.overview) {
      this.stage.append(this.overview);
    }
    try {
      const run = await loadRun(this.listed);
      if (this.ended) {
        return false;
      }
      this.run = run;
      this.map = new MapView(run, listener);
      this.stage.append(this.map.node);
      this.removeOverview(this.map);
      return true;
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      fill(this.stage, trouble(error.message, error.hint));
      return false;
    }
  }

  /** Once the map shows the same. @param {MapView} map */
  removeOverview(map) {
    const { overview } = this;
    if (!overview) {
      return;
    }
    const watch = new MutationObserver(() => {
      if (map.node.getAttribute("aria-busy") === "false") {
        overview.remove();
        watch.disconnect();
      }
    });
    watch.observe(map.node, { attributeFilter: ["aria-busy"] });
  }

  end() {
    this.ended = true;
    this.map?.end();
    this.node.remove();
  }
}

/** @param {string} found @param {string} hint */
export function trouble(found, hint) {
  return element(
    "div",
    { class: "trouble", role: "alert" },
    element("h2", {}, found),
    hint ? element("p", {}, hint) : null,
  );
}
