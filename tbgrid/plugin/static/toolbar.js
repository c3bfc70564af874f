// The controls above the map.

import { createElement, createIcon, fill } from "./dom.js";

/**
 * @typedef {import("./map_view.js").Tool} Tool
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {import("./server.js").Listed} Listed
 * @typedef {object} Listener
 * @property {(run: string) => void} onRunChange
 * @property {(run: string) => void} onSecondRunChange "" for none
 * @property {(query: string, regex: boolean) => void} onSearch
 * @property {(step: 1 | -1) => void} onStepHit to the next or the previous match
 * @property {(t: number, animate: boolean) => void} onSnap
 * @property {(name: string) => void} onColourChange
 * @property {(tool: Tool) => void} onToolChange
 * @property {(mode: Mode) => void} onModeChange
 * @property {() => void} onShowAll
 * @property {() => void} onReload
 * @property {() => void} onHelp
 * @property {() => void} onCopyLink
 * @property {() => void} onTogglePanel
 */

const ICONS = {
  move: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  rectangle: "M4 6h16v12H4z",
  lasso: "M12 4c5 0 9 2.5 9 6s-4 6-9 6-9-2.5-9-6 4-6 9-6zM7 15c-2 1-2 4 0 4s2 3 0 3",
  previous: "M15 5l-7 7 7 7",
  next: "M9 5l7 7-7 7",
  showAll: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  reload: "M20 12a8 8 0 1 1-2.4-5.7M20 3v5h-5",
  panel: "M4 5h16v14H4zM14 5v14",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.5",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
};

const TOOLS = /** @type {const} */ ([
  ["move", "Move (v): drag to pan, scroll to zoom, click to pin"],
  ["rectangle", "Select with a rectangle (r)"],
  ["lasso", "Select with a lasso (l)"],
]);

const MODES = /** @type {const} */ ([
  ["replace", "New", "New selection"],
  ["add", "+", "Add to the selection (Shift)"],
  ["subtract", "−", "Subtract from the selection (Alt)"],
]);

export class Toolbar {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.run = createSelect("Run", (value) => listener.onRunChange(value));
    this.second = createSelect("Second run, shown beside the first",
      (value) => listener.onSecondRunChange(value));
    this.search = this.createSearchField();
    this.regex = createToggle(".*", "Regular expression", () => {
      toggle(this.regex);
      this.reportSearch();
    });
    this.hits = createElement("output", { class: "hits", "aria-live": "polite" });
    this.problem = createElement("p", { class: "wrong", role: "status", hidden: true });
    this.previous = createIconButton(ICONS.previous, "Previous match (p)",
      () => listener.onStepHit(-1));
    this.next = createIconButton(ICONS.next, "Next match (n)", () => listener.onStepHit(1));
    this.snap = createElement("input", { type: "range", min: 0, max: 1, step: 0.01, value: "1",
      oninput: () => listener.onSnap(Number(this.snap.value), false) });
    this.layouts = createElement("button", { type: "button", class: "plain",
      onclick: () => listener.onSnap(0, true) });
    this.setLayouts(["t-SNE"]);
    this.colour = createSelect("Colour by", (value) => listener.onColourChange(value));
    this.tools = TOOLS.map(([tool, title]) => {
      const button = createIconButton(ICONS[tool], title, () => listener.onToolChange(tool));
      button.dataset.tool = tool;
      return button;
    });
    this.modes = MODES.map(([mode, text, title]) => {
      const button = createToggle(text, title, () => listener.onModeChange(mode));
      button.dataset.mode = mode;
      return button;
    });
    this.modeGroup = createGroup("Selection mode", ...this.modes);
    this.panelButton = createIconButton(ICONS.panel, "Panel", () => listener.onTogglePanel());
    this.node = this.arrange();
    this.setTool("move");
    this.setMode("replace");
  }

  createSearchField() {
    return createElement("input", {
      type: "search",
      class: "search",
      placeholder: "Search",
      "aria-label": "Search names and columns",
      title: 'All words must match; "exact phrase"; -excluded; label:cat; width>300',
      oninput: () => this.reportSearch(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") {
          this.listener.onStepHit(event.shiftKey ? -1 : 1);
        }
      },
    });
  }

  arrange() {
    const { listener } = this;
    return createElement(
      "header",
      { class: "toolbar" },
      this.run.node,
      this.second.node,
      createElement("div", { class: "searching", role: "search" },
        createElement("div", { class: "field" }, this.search, this.hits, this.problem),
        this.regex, this.previous, this.next),
      createElement("div", { class: "snap" },
        this.layouts,
        this.snap,
        createElement("button", { type: "button", class: "plain",
          onclick: () => listener.onSnap(1, true) }, "Grid")),
      this.colour.node,
      createGroup("Tools", ...this.tools),
      this.modeGroup,
      createGroup(
        "View",
        createIconButton(ICONS.showAll, "Show all (0)", () => listener.onShowAll()),
        createIconButton(ICONS.link, "Copy a link to this view", () => listener.onCopyLink()),
        createIconButton(ICONS.reload, "Look for new runs and exports", () => listener.onReload()),
        createIconButton(ICONS.help, "Mouse and keyboard (?)", () => listener.onHelp()),
        this.panelButton,
      ),
    );
  }

  reportSearch() {
    this.listener.onSearch(this.search.value, this.regex.getAttribute("aria-pressed") === "true");
  }

  /** @param {Listed[]} runs @param {string} first @param {string} second */
  setRuns(runs, first, second) {
    const options = runs.map((listed) => ({
      value: listed.run,
      text: listed.error === null
        ? `${listed.run} (${(listed.photos ?? 0).toLocaleString("en")})`
        : `${listed.run} (cannot be shown)`,
    }));
    this.run.set(options, first);
    const others = options.filter(({ value }) => value !== first);
    this.second.set([{ value: "", text: "compare with…" }, ...others], second);
    this.second.node.hidden = others.length === 0;
  }

  /** @param {{value: string, text: string}[]} options @param {string} chosen */
  setColours(options, chosen) {
    this.colour.set(options, chosen);
  }

  /** @param {string} query @param {boolean} regex */
  setQuery(query, regex) {
    this.search.value = query;
    this.regex.setAttribute("aria-pressed", String(regex));
  }

  /**
   * @param {number} hits @param {number} all @param {boolean} filtered
   * @param {string | null} problem with the query
   */
  setHits(hits, all, filtered, problem) {
    const text = `${hits.toLocaleString("en")} of ${all.toLocaleString("en")}`;
    this.hits.textContent = filtered ? text : "";
    this.search.classList.toggle("counted", filtered);
    this.problem.textContent = problem ?? "";
    this.problem.hidden = problem === null;
    this.hits.classList.toggle("none", filtered && hits === 0);
    this.previous.disabled = this.next.disabled = !filtered || hits === 0;
  }

  /** @param {string[]} names of the layout methods of the runs on the page */
  setLayouts(names) {
    const text = [...new Set(names)].join(", ");
    const title = `From ${text} positions to grid cells`;
    this.layouts.textContent = text;
    this.snap.setAttribute("aria-label", title);
    this.snap.title = `${title} (g)`;
  }

  /** @param {number} t */
  setSnap(t) {
    this.snap.value = String(t);
  }

  /** @param {Tool} tool */
  setTool(tool) {
    for (const button of this.tools) {
      button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
    }
    // Hidden but not removed, so that the map does not move under the pointer.
    this.modeGroup.style.visibility = tool === "move" ? "hidden" : "visible";
  }

  /** @param {Mode} mode */
  setMode(mode) {
    for (const button of this.modes) {
      button.setAttribute("aria-pressed", String(button.dataset.mode === mode));
    }
  }
}

/** @param {string} name @param {(value: string) => void} onChange */
function createSelect(name, onChange) {
  const field = createElement("select", {
    "aria-label": name,
    title: name,
    onchange: () => onChange(field.value),
  });
  return {
    node: createElement("div", { class: "choice" }, field),
    /** @param {{value: string, text: string}[]} options @param {string} value */
    set(options, value) {
      fill(
        field,
        ...options.map((option) => createElement("option", { value: option.value }, option.text)),
      );
      field.value = value;
    },
  };
}

/** @param {string} path @param {string} title @param {() => void} onclick */
function createIconButton(path, title, onclick) {
  return createElement(
    "button",
    { type: "button", class: "icon-button", title, "aria-label": title, onclick },
    createIcon(path),
  );
}

/** @param {string} text @param {string} title @param {() => void} onclick */
function createToggle(text, title, onclick) {
  return createElement(
    "button",
    { type: "button", class: "toggle", title, "aria-label": title, "aria-pressed": "false",
      onclick },
    text,
  );
}

/** @param {Element} button */
function toggle(button) {
  button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
}

/** @param {string} name @param {...HTMLElement} members */
function createGroup(name, ...members) {
  return createElement("div", { class: "group", role: "group", "aria-label": name }, ...members);
}
