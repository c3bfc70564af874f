// The tab: which runs are shown, what is asked of them, and who is told of it.

import { AddressBar } from "./address_bar.js";
import { colourChoices, colouring } from "./colouring.js";
import { rowsByText, valueText } from "./columns.js";
import { element, fill } from "./dom.js";
import { FilterPanel } from "./filter_panel.js";
import { emptyFilter, filterFromText, filterToText, isEmpty, matches, withQuery }
  from "./filter.js";
import { helpDialog } from "./help.js";
import { legend } from "./legend.js";
import { maskIn, rowIn } from "./matching.js";
import { news } from "./news.js";
import { Pane, trouble } from "./pane.js";
import { PhotoPanel } from "./photo_panel.js";
import { ReportPanel } from "./report_panel.js";
import { count, intersect, maskOf, none, rowsOf, subtract, union } from "./selection.js";
import { SelectionPanel, copyText } from "./selection_panel.js";
import { DataError, listRuns } from "./server.js";
import { Tabs } from "./tabs.js";
import { followTheme } from "./theme.js";
import { Toolbar } from "./toolbar.js";
import { Tooltip } from "./tooltip.js";
import { viewFromText, viewToText } from "./zoom.js";

/**
 * @typedef {import("./data.js").Run} Run
 * @typedef {import("./map_view.js").MapView} MapView
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {import("./server.js").Listing} Listing
 * @typedef {import("./filter.js").Filter} Filter
 */

const MESSAGE_TIME = 5000; // ms

export class App {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    root.classList.remove("loading");
    /** @type {Pane[]} one or two */
    this.panes = [];
    this.active = 0; // the pane that the panel speaks of
    /** @type {Listing} */
    this.listing = { runs: [], searched: "" };
    /** @type {Filter} of the active run; the other is filtered by the same words */
    this.filter = emptyFilter;
    /** @type {Uint8Array} of the active run, as are the next two */
    this.passes = new Uint8Array();
    /** @type {Uint32Array} */
    this.hits = new Uint32Array();
    /** @type {Uint8Array} */
    this.selection = new Uint8Array();
    this.colour = "";
    this.share = 1;
    this.pinned = -1; // in the active run
    this.hit = -1;
    /** @type {import("./map_view.js").Tool} */
    this.tool = "move";
    this.asking = false; // whether the exports are as they were
    this.messageTimer = 0;
    const listener = {
      chosen: (/** @type {number} */ row) => this.pin(row, true),
      hovered: (/** @type {number} */ row) => this.pointAt(row),
    };
    this.toolbar = new Toolbar({
      runChosen: (run) => this.openRuns([run, this.panes[1]?.listed.run ?? ""]),
      secondChosen: (run) => this.openRuns([this.panes[0]?.listed.run ?? "", run]),
      searched: (query, regex) => {
        this.tabs.show("filter"); // where the hits are listed
        this.ask(withQuery(this.filter, query, regex));
      },
      stepped: (step) => this.step(step),
      snapped: (share, slowly) => this.snap(share, slowly),
      coloured: (name) => {
        this.colour = name;
        this.paint();
      },
      toolChosen: (tool) => this.setTool(tool),
      modeChosen: (mode) => this.setMode(mode),
      wholeAsked: () => this.maps.forEach((map) => map.lookAtAll()),
      reloaded: () => this.reload(),
      helped: () => this.help.showModal(),
      linked: async () => this.tell(
        (await copyText(this.bar.link)) ? "A link to this view is copied" : this.bar.link,
      ),
      sideToggled: () => this.setSide(this.root.dataset.side === "closed"),
    });
    this.photoPanel = new PhotoPanel({
      ...listener,
      shown: (row) => this.activeMap?.lookAt(row),
      taken: (row) => this.select(maskOf(Uint32Array.of(row), this.selection.length), "add"),
      closed: () => this.pin(-1),
      troubled: (message) => this.troubled(message),
    });
    this.filterPanel = new FilterPanel({
      ...listener,
      filtered: (filter) => this.ask(filter),
    });
    this.selectionPanel = new SelectionPanel({
      ...listener,
      cleared: () => this.select(none(this.selection.length), "replace"),
      inverted: () => this.select(
        subtract(new Uint8Array(this.selection.length).fill(1), this.selection), "replace"),
      hitsTaken: () => this.select(this.passes, "add"),
      hitsKept: () => this.select(intersect(this.selection, this.passes), "replace"),
      told: (message) => this.tell(message),
    });
    this.reportPanel = new ReportPanel();
    this.tabs = new Tabs([
      { id: "filter", title: "Photos", node: this.filterPanel.node },
      { id: "photo", title: "Photo", node: this.photoPanel.node },
      { id: "selection", title: "Selection", node: this.selectionPanel.node },
      { id: "report", title: "Report", node: this.reportPanel.node },
    ]);
    this.tooltip = new Tooltip();
    this.help = helpDialog();
    this.legend = element("div", { class: "legend", hidden: true });
    this.stage = element("main", { class: "maps" });
    this.message = element("p", { class: "message", role: "status", hidden: true });
    this.spoken = element("p", { class: "off-screen", "aria-live": "polite" });
    this.banner = element("div", { class: "banner", hidden: true, role: "alert" });
    fill(
      this.root,
      this.toolbar.node,
      this.banner,
      element("div", { class: "body" },
        element("div", { class: "centre" }, this.stage, this.legend),
        element("aside", { class: "side" }, this.tabs.node)),
      this.message,
      this.spoken,
      this.tooltip.node,
      this.help,
    );
    this.root.addEventListener("themechange", () => this.maps.forEach((map) => map.due()));
    followTheme(this.root);
    this.root.addEventListener("keydown", (event) => {
      const typing = event.target instanceof Element &&
        event.target.matches("input, select, textarea, dialog, dialog *");
      const plain = !event.altKey && !event.ctrlKey && !event.metaKey;
      const known = event.key === "Escape" || !typing;
      if (plain && known && !this.help.open && !event.defaultPrevented && this.pressed(event)) {
        event.preventDefault();
      }
    });
    this.root.tabIndex = -1; // so that keys come here before anything else has the focus
    this.bar = new AddressBar((values) => this.restore(values));
  }

  /** @param {Promise<Listing>} listing */
  async start(listing) {
    const narrow = matchMedia("(max-width: 760px)").matches;
    this.setSide(!narrow);
    try {
      this.listing = await listing;
      await this.restore(AddressBar.values());
    } catch (error) {
      this.fail(error);
    }
    this.root.setAttribute("aria-busy", "false");
    this.root.focus({ preventScroll: true });
  }

  // ---- runs

  get maps() {
    return this.panes.flatMap((pane) => (pane.map ? [pane.map] : []));
  }

  get activePane() {
    return this.panes[this.active] ?? this.panes[0];
  }

  get activeMap() {
    return this.activePane?.map ?? null;
  }

  get runs() {
    return this.panes.flatMap((pane) => (pane.run ? [pane.run] : []));
  }

  get run() {
    return this.activePane?.run ?? null;
  }

  /** Show what the address bar says. @param {Map<string, string>} values */
  async restore(values) {
    const { runs } = this.listing;
    if (runs.length === 0) {
      this.showNothing();
      return;
    }
    const named = (/** @type {string | undefined} */ name) =>
      runs.find((listed) => listed.run === name)?.run ?? "";
    const first = named(values.get("run")) ||
      (runs.find((listed) => listed.error === null) ?? runs[0]).run;
    if (values.has("run") && named(values.get("run")) === "") {
      this.tell(`There is no run ${values.get("run")} here; this is ${first}`);
    }
    const second = named(values.get("with"));
    this.colour = values.get("colour") ?? "";
    await this.openRuns([first, second], true);
    const { run } = this;
    if (!run) {
      return;
    }
    const snap = Number(values.get("snap") || "1");
    this.snap(Number.isFinite(snap) ? Math.min(Math.max(snap, 0), 1) : 1, false);
    this.ask(filterFromText(values.get("filter") ?? "", run.columns));
    this.toolbar.setQuery(this.filter.query, this.filter.regex);
    for (const [index, name] of /** @type {const} */ ([[0, "view"], [1, "view2"]])) {
      const map = this.panes[index]?.map;
      const view = map && viewFromText(values.get(name) ?? "", map.size);
      if (map && view) {
        map.look(view);
      }
    }
    const pinned = values.has("pin") ? rowsByText(run.key).get(values.get("pin") ?? "") : undefined;
    this.pin(pinned ?? -1);
    if (pinned !== undefined) {
      this.tabs.show("photo");
    } else if (values.has("pin")) {
      this.tell(`There is no photo ${values.get("pin")} in run ${first}`);
    }
  }

  /**
   * @param {[string, string]} names the second may be empty
   * @param {boolean} [anew] load even what is shown already
   */
  async openRuns([first, second], anew = false) {
    const wanted = [first, second && second !== first ? second : ""].filter((name) => name !== "");
    const before = this.run;
    const kept = anew ? "" : filterToText(this.filter, before?.columns ?? []);
    const pinned = before && this.pinned >= 0 && !anew ? valueText(before.key, this.pinned) : null;
    const panes = wanted.flatMap((name) => {
      const listed = this.listing.runs.find((item) => item.run === name);
      const shown = this.panes.find((pane) =>
        pane.listed.run === name && pane.listed.export === listed?.export && pane.map);
      return listed ? [shown && !anew ? shown : new Pane(listed)] : [];
    });
    for (const pane of this.panes) {
      if (!panes.includes(pane)) {
        pane.end();
      }
    }
    this.panes = panes;
    this.active = 0;
    this.stage.replaceChildren(...panes.map((pane) => pane.node));
    this.stage.dataset.count = String(panes.length);
    this.toolbar.setRuns(this.listing.runs, wanted[0] ?? "", wanted[1] ?? "");
    await Promise.all(panes.map((pane) => (pane.map ? true : pane.open(this.listenerOf(pane)))));
    if (this.panes !== panes) {
      return; // another choice was made meanwhile
    }
    this.captions();
    const { run } = this;
    this.reportPanel.show(this.runs);
    if (!run) {
      this.root.classList.add("without-map");
      return;
    }
    this.root.classList.remove("without-map");
    this.toolbar.setLayouts(this.runs.map(({ manifest }) => manifest.layout));
    for (const map of this.maps) {
      map.resize();
      map.snapTo(this.share);
      map.tool = this.tool;
    }
    this.chooseColours();
    if (run !== before) {
      this.selection = none(run.count);
      this.filter = filterFromText(kept, run.columns);
    }
    this.ask(this.filter);
    this.pin(pinned === null ? -1 : rowsByText(run.key).get(pinned) ?? -1);
  }

  captions() {
    for (const [index, pane] of this.panes.entries()) {
      pane.caption.hidden = this.panes.length < 2;
      const dpq = pane.run?.manifest.report[0];
      fill(
        pane.caption,
        element("b", {}, pane.listed.run),
        pane.run ? ` · ${pane.run.manifest.model}` : null,
        dpq ? element("span", {}, ` · ${dpq[0]} ${dpq[1]}`) : null,
      );
      pane.node.classList.toggle("active", this.panes.length > 1 && index === this.active);
    }
  }

  /** @param {Pane} pane @returns {import("./map_view.js").Listener} */
  listenerOf(pane) {
    return {
      hovered: (row, at) => this.hovered(pane, row, at),
      pinned: (row) => {
        this.activate(pane);
        this.pin(row);
        this.tooltip.hide();
        if (row >= 0) {
          this.tabs.show("photo");
          this.setSide(true);
        }
      },
      viewed: () => this.note(),
      selected: (mask, mode) => {
        this.activate(pane);
        // What has faded is not meant; what is selected already may be taken away all the same.
        this.select(mode === "subtract" ? mask : intersect(mask, this.passes), mode);
        this.tabs.show("selection");
      },
      pressed: (event) => this.pressed(event, pane),
      troubled: (message) => this.troubled(message),
    };
  }

  /** Let the panel speak of this run. @param {Pane} pane */
  activate(pane) {
    const index = this.panes.indexOf(pane);
    const { run } = this;
    if (index === this.active || !pane.run || !run) {
      return;
    }
    const filter = filterToText(this.filter, run.columns);
    const selection = maskIn(run, pane.run, this.selection);
    this.active = index;
    this.filter = filterFromText(filter, pane.run.columns);
    this.selection = selection;
    this.pinned = -1;
    this.captions();
    this.ask(this.filter);
  }

  /** Look for new runs and for new exports of those that are shown. */
  async reload() {
    this.root.setAttribute("aria-busy", "true");
    try {
      const shown = this.panes.map((pane) => pane.listed);
      const before = this.listing.runs;
      this.listing = await listRuns();
      this.banner.hidden = true;
      const now = (/** @type {string} */ name) =>
        this.listing.runs.find((listed) => listed.run === name);
      const stays = shown.length > 0 && shown.every((listed, index) =>
        this.panes[index].map && now(listed.run)?.export === listed.export);
      const [first, second] = shown.map((listed) => listed.run);
      this.tell(news(before, this.listing.runs, shown));
      if (stays) {
        this.toolbar.setRuns(this.listing.runs, first, second ?? "");
      } else {
        await this.restore(this.state());
      }
    } catch (error) {
      this.fail(error);
    }
    this.root.setAttribute("aria-busy", "false");
  }

  /** A picture did not come: perhaps its export was replaced. @param {string} message */
  async troubled(message) {
    if (this.asking) {
      return;
    }
    this.asking = true;
    try {
      const { runs } = await listRuns();
      const replaced = this.panes.some((pane) =>
        runs.find(({ run }) => run === pane.listed.run)?.export !== pane.listed.export);
      if (replaced) {
        fill(
          this.banner,
          "This run was exported anew. ",
          element("button", { type: "button", onclick: () => this.reload() }, "Show the new export"),
        );
        this.banner.hidden = false;
      } else {
        this.tell(message);
      }
    } catch (error) {
      this.fail(error);
    } finally {
      this.asking = false;
    }
  }

  showNothing() {
    this.toolbar.setRuns([], "", "");
    this.root.classList.add("without-map");
    for (const pane of this.panes) {
      pane.end();
    }
    this.panes = [];
    fill(
      this.stage,
      element(
        "div",
        { class: "trouble" },
        element("h2", {}, "No tbgrid run here yet"),
        element("p", {}, "Make one, then press reload:"),
        element("pre", {}, "tbgrid export PHOTOS --logdir LOGDIR"),
        element("p", { class: "hint" }, this.listing.searched),
      ),
    );
  }

  /** @param {unknown} error */
  fail(error) {
    if (!(error instanceof DataError)) {
      throw error;
    }
    if (this.maps.length > 0) {
      this.tell(`${error.message}: ${error.hint}`);
      return;
    }
    this.root.classList.add("without-map");
    fill(this.stage, trouble(error.message, error.hint));
  }

  // ---- questions

  /** @param {Filter} filter */
  ask(filter) {
    const { run } = this;
    if (!run) {
      return;
    }
    this.filter = filter;
    const found = matches(filter, run.columns, run.count);
    this.passes = found.mask;
    this.hits = rowsOf(found.mask);
    this.hit = -1;
    const filtered = !isEmpty(filter);
    this.toolbar.setHits(found.hits, run.count, filtered, found.error ?? found.hint);
    this.filterPanel.show(run, filter, this.hits);
    this.selectionPanel.show(run, rowsOf(this.selection), filtered);
    this.paint();
  }

  /** Give the maps their marks and colours. */
  paint() {
    const { run } = this;
    if (!run) {
      return;
    }
    const words = filterToText(this.filter, run.columns);
    for (const pane of this.panes) {
      if (!pane.run || !pane.map) {
        continue;
      }
      const own = pane.run === run;
      const passes = own
        ? this.passes
        : matches(filterFromText(words, pane.run.columns), pane.run.columns, pane.run.count).mask;
      const selection = own ? this.selection : maskIn(run, pane.run, this.selection);
      const painted = colouring(pane.run, this.colour, this.runs);
      pane.map.mark(passes, selection, painted?.colours ?? null, painted?.kind ?? 0);
      if (own) {
        fill(this.legend, painted ? legend(painted.name, painted.legend) : null);
        this.legend.hidden = !painted;
      }
    }
    const selected = count(this.selection);
    this.tabs.title("selection", selected ? `Selection ${selected.toLocaleString("en")}`
      : "Selection");
    this.note();
  }

  chooseColours() {
    const { run } = this;
    if (!run) {
      return;
    }
    const options = colourChoices(run);
    if (!options.some(({ value }) => value === this.colour)) {
      this.colour = "";
    }
    this.toolbar.setColours(options, this.colour);
  }

  /** @param {Uint8Array} mask @param {Mode} mode */
  select(mask, mode) {
    const { run } = this;
    if (!run) {
      return;
    }
    if (mode === "replace") {
      this.selection = mask;
    } else {
      this.selection = (mode === "add" ? union : subtract)(this.selection, mask);
    }
    this.selectionPanel.show(run, rowsOf(this.selection), !isEmpty(this.filter));
    this.paint();
  }

  /** @param {number} row @param {boolean} [look] bring it into view */
  async pin(row, look = false) {
    const { run, activeMap: map } = this;
    if (!run || !map) {
      return;
    }
    this.pinned = row;
    this.tabs.title("photo", "Photo");
    for (const other of this.maps) {
      other.pin(other === map ? row : rowIn(run, other.run, row));
    }
    this.note();
    if (row < 0) {
      this.photoPanel.clear();
      return;
    }
    if (look) {
      map.lookAt(row);
      this.tabs.show("photo");
    }
    this.say(run, row);
    this.photoPanel.show(run, row, null);
    try {
      const { near, far } = await run.nearest();
      if (this.pinned !== row || this.run !== run) {
        return;
      }
      const k = run.manifest.neighbours;
      const nearest = Array.from(near.subarray(k * row, k * row + k), (other, index) => ({
        row: other,
        distance: far[k * row + index],
      }));
      map.pin(row, nearest);
      this.photoPanel.show(run, row, nearest);
    } catch (error) {
      if (!(error instanceof DataError)) {
        throw error;
      }
      await this.troubled(`${error.message}: ${error.hint}`);
    }
  }

  /** @param {Pane} pane @param {number} row @param {import("./zoom.js").Point | null} at */
  hovered(pane, row, at) {
    const { run } = pane;
    if (!run) {
      return;
    }
    if (row >= 0 && at && !(run === this.run && row === this.pinned)) {
      const side = pane.map ? pane.map.view.scale * pane.map.side : 0;
      this.tooltip.show(run, row, at, side);
    } else {
      this.tooltip.hide();
    }
    if (row >= 0 && !at) {
      this.say(run, row);
    }
    for (const other of this.panes) {
      if (other !== pane && other.run && other.map) {
        other.map.setTwin(rowIn(run, other.run, row));
      }
    }
  }

  /** A photo in a list is pointed at: mark it on the maps. @param {number} row */
  pointAt(row) {
    const { run } = this;
    for (const pane of this.panes) {
      if (run && pane.run && pane.map) {
        pane.map.setTwin(pane.run === run ? row : rowIn(run, pane.run, row));
      }
    }
  }

  /** To the next photo that matches, in the order of rows. @param {1 | -1} step */
  step(step) {
    if (this.hits.length === 0) {
      return;
    }
    this.hit = (this.hit + step + this.hits.length) % this.hits.length;
    if (this.hit < 0) {
      this.hit = this.hits.length - 1;
    }
    const row = this.hits[this.hit];
    this.filterPanel.list.point(row);
    this.pin(row);
    this.activeMap?.lookAt(row);
  }

  /** @param {number} share @param {boolean} slowly */
  snap(share, slowly) {
    this.maps.forEach((map, index) => map.snapTo(share, {
      slowly,
      moved: (value) => {
        if (index === 0) {
          this.share = value;
          this.toolbar.setSnap(value);
          this.note();
        }
      },
    }));
    this.share = share;
  }

  /** @param {import("./map_view.js").Tool} tool */
  setTool(tool) {
    this.tool = tool;
    this.toolbar.setTool(tool);
    this.root.dataset.tool = tool;
    this.maps.forEach((map) => {
      map.tool = tool;
    });
  }

  /** @param {Mode} mode */
  setMode(mode) {
    this.toolbar.setMode(mode);
    this.maps.forEach((map) => {
      map.mode = mode;
    });
  }

  /** @param {boolean} open */
  setSide(open) {
    this.root.dataset.side = open ? "open" : "closed";
    this.toolbar.sideButton.setAttribute("aria-pressed", String(open));
  }

  /** @param {KeyboardEvent} event @param {Pane} [pane] @returns {boolean} */
  pressed(event, pane) {
    const row = pane?.map?.hovered ?? -1;
    /** @type {Record<string, () => void>} */
    const keys = {
      "/": () => this.toolbar.search.focus(),
      n: () => this.step(1),
      p: () => this.step(-1),
      g: () => this.snap(this.share < 0.5 ? 1 : 0, true),
      v: () => this.setTool("move"),
      r: () => this.setTool("rectangle"),
      l: () => this.setTool("lasso"),
      "?": () => this.help.showModal(),
    };
    if (row >= 0 && pane) {
      keys.s = () => this.toggle(pane, row);
    }
    if (this.pinned >= 0) {
      keys.Escape = () => this.pin(-1);
    }
    const action = Object.hasOwn(keys, event.key) ? keys[event.key] : null;
    action?.();
    return action !== null;
  }

  /** Select a photo, or no longer. @param {Pane} pane @param {number} row */
  toggle(pane, row) {
    this.activate(pane);
    const own = maskOf(Uint32Array.of(row), this.selection.length);
    this.select(own, this.selection[row] ? "subtract" : "add");
  }

  // ---- words

  /** @param {Run} run @param {number} row */
  say(run, row) {
    const label = run.label ? `, ${valueText(run.label, row)}` : "";
    this.spoken.textContent = `${valueText(run.key, row)}${label}`;
  }

  /** @param {string} message */
  tell(message) {
    this.message.textContent = message;
    this.message.hidden = false;
    clearTimeout(this.messageTimer);
    this.messageTimer = window.setTimeout(() => {
      this.message.hidden = true;
    }, MESSAGE_TIME);
  }

  /** What the address bar should say. @returns {Map<string, string>} */
  state() {
    const { run } = this;
    const [first, second] = this.panes;
    const view = (/** @type {Pane | undefined} */ pane) =>
      pane?.map && !pane.map.whole ? viewToText(pane.map.view, pane.map.size) : "";
    return new Map([
      ["run", first?.listed.run ?? ""],
      ["with", second?.listed.run ?? ""],
      ["view", view(first)],
      ["view2", view(second)],
      ["snap", this.share === 1 ? "" : String(Number(this.share.toFixed(2)))],
      ["filter", run ? filterToText(this.filter, run.columns) : ""],
      ["colour", this.colour],
      ["pin", run && this.pinned >= 0 ? valueText(run.key, this.pinned) : ""],
    ]);
  }

  note() {
    this.bar.write(this.state());
  }
}
