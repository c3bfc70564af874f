// Opens runs, restores what a link says, and keeps up with new exports.

import { rowsByText, valueText } from "./columns.js";
import { formatFilter, parseFilter } from "./filter.js";
import { parseSnap } from "./link_values.js";
import { createErrorBox, createWelcomeBox } from "./messages.js";
import { describeChanges } from "./run_changes.js";
import { DataError, listRuns } from "./server.js";
import { parseView } from "./viewport.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./run_pane.js").RunPane} RunPane
 * @typedef {import("./server.js").Listing} Listing
 * @typedef {object} Parts of the page
 * @property {HTMLElement} root
 * @property {import("./stage.js").Stage} stage
 * @property {import("./toolbar.js").Toolbar} toolbar
 * @property {import("./messages.js").Messages} messages
 * @property {import("./tabs.js").Tabs} tabs
 * @property {import("./report_panel.js").ReportPanel} reportPanel
 * @property {import("./photo_controller.js").PhotoController} photos
 */

export class RunController {
  /**
   * @param {Parts} parts
   * @param {(pane: RunPane) => import("./map_view.js").Listener} createListener for its map
   * @param {() => Map<string, string>} collectValues what a link says now
   */
  constructor(parts, createListener, collectValues) {
    this.parts = parts;
    this.createListener = createListener;
    this.collectValues = collectValues;
    /** @type {Listing} */
    this.listing = { runs: [], searched: "" };
    this.checkingExports = false;
  }

  /** @param {Promise<Listing>} listing @param {Map<string, string>} values of the link */
  async start(listing, values) {
    try {
      this.listing = await listing;
      await this.restore(values);
    } catch (error) {
      this.handleError(error);
    }
  }

  /** Show what a link says. @param {Map<string, string>} values */
  async restore(values) {
    const { stage, messages, photos } = this.parts;
    const { runs } = this.listing;
    if (runs.length === 0) {
      this.showWelcome();
      return;
    }
    const wanted = this.findListed(values.get("run"));
    const first = (wanted ?? runs.find((listed) => listed.error === null) ?? runs[0]).run;
    if (values.has("run") && !wanted) {
      messages.show(`Run ${values.get("run")} was not found; this is ${first}`);
    }
    photos.colour = values.get("colour") ?? "";
    await this.open([first, this.findListed(values.get("with"))?.run ?? ""], true);
    const run = stage.activeRun;
    if (!run) {
      return;
    }
    stage.snap(parseSnap(values.get("snap")), false);
    const filter = parseFilter(values.get("filter") ?? "", run.columns);
    photos.setFilter(filter);
    this.parts.toolbar.setQuery(filter.query, filter.regex);
    for (const [index, name] of /** @type {const} */ ([[0, "view"], [1, "view2"]])) {
      const map = stage.panes[index]?.map;
      const view = map && parseView(values.get(name) ?? "", map.size);
      if (map && view) {
        map.setView(view);
      }
    }
    this.restorePin(run, values.get("pin"));
  }

  /** @param {Run} run @param {string | undefined} name of the photo */
  restorePin(run, name) {
    const row = name === undefined ? -1 : rowsByText(run.key).get(name) ?? -1;
    this.parts.photos.pin(row);
    if (row >= 0) {
      this.parts.tabs.show("photo");
    } else if (name !== undefined) {
      this.parts.messages.show(`Photo ${name} was not found in run ${run.name}`);
    }
  }

  /** @param {string | undefined} name */
  findListed(name) {
    return this.listing.runs.find((listed) => listed.run === name);
  }

  /** Show another run in place of one of the two. @param {0 | 1} index @param {string} name */
  choose(index, name) {
    const [first, second] = this.parts.stage.panes.map((pane) => pane.listed.run);
    return this.open(index === 0 ? [name, second ?? ""] : [first ?? "", name]);
  }

  /**
   * @param {[string, string]} names the second may be empty
   * @param {boolean} [reload] load even what is shown already, and forget filter and selection
   */
  async open([first, second], reload = false) {
    const { stage, toolbar, photos } = this.parts;
    const names = [first, second && second !== first ? second : ""].filter((name) => name !== "");
    const before = stage.activeRun;
    const filterText = reload || !before ? "" : formatFilter(photos.state.filter, before.columns);
    const pinnedName = before && photos.state.pinnedRow >= 0 && !reload
      ? valueText(before.key, photos.state.pinnedRow) : null;
    stage.setRuns(names.flatMap((name) => this.findListed(name) ?? []), reload);
    toolbar.setRuns(this.listing.runs, names[0] ?? "", names[1] ?? "");
    if (!await stage.load(this.createListener)) {
      return; // another choice was made meanwhile
    }
    stage.updateCaptions();
    const run = stage.activeRun;
    this.parts.reportPanel.show(stage.runs);
    this.parts.root.classList.toggle("without-map", !run);
    if (!run) {
      return;
    }
    toolbar.setLayouts(stage.runs.map(({ manifest }) => manifest.layout));
    stage.prepareMaps();
    photos.updateColourChoices(run);
    if (run !== before) {
      photos.state.reset(run, parseFilter(filterText, run.columns));
    }
    photos.setFilter(photos.state.filter);
    photos.pin(pinnedName === null ? -1 : rowsByText(run.key).get(pinnedName) ?? -1);
  }

  /** Check for new runs, and for new exports of those on the page. */
  async reload() {
    const { root, stage, messages } = this.parts;
    root.setAttribute("aria-busy", "true");
    try {
      const shown = stage.panes.map((pane) => pane.listed);
      const before = this.listing.runs;
      this.listing = await listRuns();
      messages.hideBanner();
      const isCurrent = shown.length > 0 && shown.every((listed, index) =>
        stage.panes[index].map && this.findListed(listed.run)?.export === listed.export);
      messages.show(describeChanges(before, this.listing.runs, shown));
      if (isCurrent) {
        this.parts.toolbar.setRuns(this.listing.runs, shown[0].run, shown[1]?.run ?? "");
      } else {
        await this.restore(this.collectValues());
      }
    } catch (error) {
      this.handleError(error);
    }
    root.setAttribute("aria-busy", "false");
  }

  /** A file could not be loaded: perhaps its export was replaced. @param {string} message */
  async handleLoadError(message) {
    if (this.checkingExports) {
      return;
    }
    this.checkingExports = true;
    try {
      const { runs } = await listRuns();
      const replaced = this.parts.stage.panes.some((pane) =>
        runs.find(({ run }) => run === pane.listed.run)?.export !== pane.listed.export);
      if (replaced) {
        this.parts.messages.offerReload(() => this.reload());
      } else {
        this.parts.messages.show(message);
      }
    } catch (error) {
      this.handleError(error);
    } finally {
      this.checkingExports = false;
    }
  }

  /** @param {unknown} error */
  handleError(error) {
    const { root, stage, messages } = this.parts;
    if (!(error instanceof DataError)) {
      throw error;
    }
    if (stage.maps.length > 0) {
      messages.show(`${error.message}: ${error.hint}`);
      return;
    }
    root.classList.add("without-map");
    stage.showBox(createErrorBox(error.message, error.hint));
  }

  showWelcome() {
    const { root, stage, toolbar } = this.parts;
    toolbar.setRuns([], "", "");
    root.classList.add("without-map");
    stage.clear();
    stage.showBox(createWelcomeBox(this.listing.searched));
  }
}
