// The tab: creates the parts of the page and connects them.

import { AddressBar } from "./address_bar.js";
import { copyText } from "./clipboard.js";
import { createElement, fill } from "./dom.js";
import { FilterPanel } from "./filter_panel.js";
import { withQuery } from "./filter.js";
import { createHelpDialog } from "./help.js";
import { Keyboard } from "./keyboard.js";
import { collectLinkValues } from "./link_values.js";
import { Messages } from "./messages.js";
import { PhotoController } from "./photo_controller.js";
import { PhotoPanel } from "./photo_panel.js";
import { ReportPanel } from "./report_panel.js";
import { RunController } from "./run_controller.js";
import { SelectionPanel } from "./selection_panel.js";
import { Stage } from "./stage.js";
import { Tabs } from "./tabs.js";
import { followTheme } from "./theme.js";
import { Toolbar } from "./toolbar.js";
import { Tooltip } from "./tooltip.js";

/**
 * @typedef {import("./map_view.js").Tool} Tool
 * @typedef {import("./photo_list.js").Listener} PhotoListener
 * @typedef {import("./run_pane.js").RunPane} RunPane
 */

export class App {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.messages = new Messages();
    this.tooltip = new Tooltip();
    this.help = createHelpDialog();
    this.legend = createElement("div", { class: "legend", hidden: true });
    this.reportPanel = new ReportPanel();
    this.stage = new Stage((t) => {
      this.toolbar.setSnap(t);
      this.updateLink();
    });
    this.toolbar = this.createToolbar();
    /** @type {PhotoListener} */
    const listener = {
      onChoose: (row) => this.photos.pin(row, true),
      onHover: (row) => this.photos.hoverInList(row),
    };
    this.photoPanel = this.createPhotoPanel(listener);
    this.filterPanel = new FilterPanel({
      ...listener,
      onFilter: (filter) => this.photos.setFilter(filter),
    });
    this.selectionPanel = this.createSelectionPanel(listener);
    this.tabs = new Tabs([
      { id: "filter", title: "Photos", node: this.filterPanel.node },
      { id: "photo", title: "Photo", node: this.photoPanel.node },
      { id: "selection", title: "Selection", node: this.selectionPanel.node },
      { id: "report", title: "Report", node: this.reportPanel.node },
    ]);
    /** @type {PhotoController} */
    this.photos = new PhotoController(this, () => this.updateLink(),
      (message) => this.runs.handleLoadError(message));
    /** @type {RunController} */
    this.runs = new RunController(this, (pane) => this.createMapListener(pane),
      () => this.linkValues);
    this.arrange();
    followTheme(root, () => this.stage.maps.forEach((map) => map.requestRedraw()));
    this.keyboard = this.createKeyboard();
    this.keyboard.listen(root, () => this.help.open);
    this.addressBar = new AddressBar((values) => this.runs.restore(values));
  }

  /** @param {Promise<import("./server.js").Listing>} listing */
  async start(listing) {
    const isNarrow = matchMedia("(max-width: 760px)").matches;
    this.setPanelOpen(!isNarrow);
    await this.runs.start(listing, AddressBar.readValues());
    this.root.setAttribute("aria-busy", "false");
    this.root.focus({ preventScroll: true });
  }

  // ---- parts of the page

  createToolbar() {
    return new Toolbar({
      onRunChange: (run) => this.runs.choose(0, run),
      onSecondRunChange: (run) => this.runs.choose(1, run),
      onSearch: (query, regex) => {
        this.tabs.show("filter"); // where the hits are listed
        this.photos.setFilter(withQuery(this.photos.state.filter, query, regex));
      },
      onStepHit: (step) => this.photos.stepHit(step),
      onSnap: (t, animate) => this.stage.snap(t, animate),
      onColourChange: (colour) => this.photos.setColour(colour),
      onToolChange: (tool) => this.setTool(tool),
      onModeChange: (mode) => {
        this.stage.setMode(mode);
        this.toolbar.setMode(mode);
      },
      onShowAll: () => this.stage.maps.forEach((map) => map.showAll()),
      onReload: () => this.runs.reload(),
      onHelp: () => this.help.showModal(),
      onCopyLink: () => this.copyLink(),
      onTogglePanel: () => this.setPanelOpen(this.root.dataset.side === "closed"),
    });
  }

  /** @param {PhotoListener} listener */
  createPhotoPanel(listener) {
    return new PhotoPanel({
      ...listener,
      onShowOnMap: (row) => this.stage.activeMap?.lookAt(row),
      onSelect: (row) => this.photos.changeSelection((state) => state.selectRow(row, "add")),
      onUnpin: () => this.photos.pin(-1),
      onError: (message) => this.runs.handleLoadError(message),
    });
  }

  /** @param {PhotoListener} listener */
  createSelectionPanel(listener) {
    return new SelectionPanel({
      ...listener,
      onClear: () => this.photos.changeSelection((state) => state.clearSelection()),
      onInvert: () => this.photos.changeSelection((state) => state.invertSelection()),
      onAddHits: () => this.photos.changeSelection((state) => state.selectHits()),
      onKeepHits: () => this.photos.changeSelection((state) => state.keepHits()),
      onMessage: (message) => this.messages.show(message),
    });
  }

  createKeyboard() {
    return new Keyboard({
      focusSearch: () => this.toolbar.search.focus(),
      stepHit: (step) => this.photos.stepHit(step),
      toggleSnap: () => this.stage.snap(this.stage.t < 0.5 ? 1 : 0, true),
      setTool: (tool) => this.setTool(tool),
      showHelp: () => this.help.showModal(),
      unpin: () => this.photos.unpin(),
      toggleHovered: (/** @type {RunPane | undefined} */ pane) => this.photos.toggleHovered(pane),
    });
  }

  /** @param {RunPane} pane @returns {import("./map_view.js").Listener} */
  createMapListener(pane) {
    return {
      onHover: (row, at) => this.photos.hover(pane, row, at),
      onPin: (row) => {
        this.photos.activate(pane);
        this.photos.pin(row);
        this.tooltip.hide();
        if (row >= 0) {
          this.tabs.show("photo");
          this.setPanelOpen(true);
        }
      },
      onViewChange: () => this.updateLink(),
      onSelect: (mask, mode) => {
        this.photos.activate(pane);
        this.photos.changeSelection((state) => state.selectDrawn(mask, mode));
        this.tabs.show("selection");
      },
      onKey: (event) => this.keyboard.press(event.key, pane),
      onError: (message) => this.runs.handleLoadError(message),
    };
  }

  arrange() {
    this.root.classList.remove("loading");
    fill(
      this.root,
      this.toolbar.node,
      this.messages.banner,
      createElement("div", { class: "body" },
        createElement("div", { class: "centre" }, this.stage.node, this.legend),
        createElement("aside", { class: "side" }, this.tabs.node)),
      this.messages.toast,
      this.messages.spoken,
      this.tooltip.node,
      this.help,
    );
  }

  // ---- what the controls change

  /** @param {Tool} tool */
  setTool(tool) {
    this.stage.setTool(tool);
    this.toolbar.setTool(tool);
    this.root.dataset.tool = tool;
  }

  /** @param {boolean} open */
  setPanelOpen(open) {
    this.root.dataset.side = open ? "open" : "closed";
    this.toolbar.panelButton.setAttribute("aria-pressed", String(open));
  }

  // ---- the link

  get linkValues() {
    return collectLinkValues(this.stage, this.photos.state, this.photos.colour);
  }

  updateLink() {
    this.addressBar.write(this.linkValues);
  }

  async copyLink() {
    const { link } = this.addressBar;
    this.messages.show((await copyText(link)) ? "Link to this view copied" : link);
  }
}
