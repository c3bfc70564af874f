// The controls above the map.

import { element, fill, icon } from "./dom.js";

/**
 * @typedef {import("./map_view.js").Tool} Tool
 * @typedef {import("./map_view.js").Mode} Mode
 * @typedef {import("./server.js").Listed} Listed
 * @typedef {object} Listener
 * @property {(run: string) => void} runChosen
 * @property {(run: string) => void} secondChosen "" for none
 * @property {(query: string, regex: boolean) => void} searched
 * @property {(step: 1 | -1) => void} stepped to the next or the previous photo that matches
 * @property {(share: number, slowly: boolean) => void} snapped
 * @property {(name: string) => void} coloured
 * @property {(tool: Tool) => void} toolChosen
 * @property {(mode: Mode) => void} modeChosen
 * @property {() => void} wholeAsked
 * @property {() => void} reloaded
 * @property {() => void} helped
 * @property {() => void} linked
 * @property {() => void} sideToggled
 */

const ICONS = {
  move: "M12 3v18M3 12h18M12 3l-3 3M12 3l3 3M12 21l-3-3M12 21l3-3M3 12l3-3M3 12l3 3M21 12l-3-3M21 12l-3 3",
  rectangle: "M4 6h16v12H4z",
  lasso: "M12 4c5 0 9 2.5 9 6s-4 6-9 6-9-2.5-9-6 4-6 9-6zM7 15c-2 1-2 4 0 4s2 3 0 3",
  whole: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  reload: "M20 12a8 8 0 1 1-2.4-5.7M20 3v5h-5",
  side: "M4 5h16v14H4zM14 5v14",
  help: "M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 18v.5",
  link: "M10 14a4 4 0 0 0 6 0l3-3a4 4 0 0 0-6-6l-1 1M14 10a4 4 0 0 0-6 0l-3 3a4 4 0 0 0 6 6l1-1",
};

export class Toolbar {
  /** @param {Listener} listener */
  constructor(listener) {
    this.listener = listener;
    this.run = select("Run", (value) => listener.runChosen(value));
    this.second = select("A second run beside the first", (value) => listener.secondChosen(value));
    this.search = element("input", {
      type: "search",
      class: "search",
      placeholder: "Search",
      "aria-label": "Search names and columns",
      title: 'Words that must all occur; "a phrase"; -without; label:cat; width>300',
      oninput: () => this.searched(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") {
          listener.stepped(event.shiftKey ? -1 : 1);
        }
      },
    });
    this.regex = toggle(".*", "Regular expression", () => {
      flip(this.regex);
      this.searched();
    });
    this.hits = element("output", { class: "hits", "aria-live": "polite" });
    this.wrong = element("p", { class: "wrong", role: "status", hidden: true });
    this.previous = iconButton("M15 5l-7 7 7 7", "Previous match (p)", () => listener.stepped(-1));
    this.next = iconButton("M9 5l7 7-7 7", "Next match (n)", () => listener.stepped(1));
    this.snap = element("input", {
      type: "range",
      min: 0,
      max: 1,
      step: 0.01,
      value: "1",
      oninput: () => listener.snapped(Number(this.snap.value), false),
    });
    this.places = element("button", { type: "button", class: "plain",
      onclick: () => listener.snapped(0, true) });
    this.setLayouts(["t-SNE"]);
    this.colour = select("Colour by", (value) => listener.coloured(value));
    this.tools = /** @type {const} */ ([
      ["move", "Move (v): drag moves, the wheel zooms, a click pins"],
      ["rectangle", "Select in a rectangle (r)"],
      ["lasso", "Select in a lasso (l)"],
    ]).map(([tool, title]) => {
      const made = iconButton(ICONS[tool], title, () => listener.toolChosen(tool));
      made.dataset.tool = tool;
      return made;
    });
    this.modes = /** @type {const} */ ([
      ["replace", "New", "Select anew"],
      ["add", "+", "Add to the selection (Shift)"],
      ["subtract", "−", "Take away from the selection (Alt)"],
    ]).map(([mode, text, title]) => {
      const made = toggle(text, title, () => listener.modeChosen(mode));
      made.dataset.mode = mode;
      return made;
    });
    this.modeGroup = group("What a selection does", ...this.modes);
    this.sideButton = iconButton(ICONS.side, "Panel", () => listener.sideToggled());
    this.node = element(
      "header",
      { class: "toolbar" },
      this.run.node,
      this.second.node,
      element("div", { class: "searching", role: "search" },
        element("div", { class: "field" }, this.search, this.hits, this.wrong),
        this.regex, this.previous, this.next),
      element(
        "div",
        { class: "snap" },
        this.places,
        this.snap,
        element("button", { type: "button", class: "plain",
          onclick: () => listener.snapped(1, true) }, "Grid"),
      ),
      this.colour.node,
      group("Tools", ...this.tools),
      this.modeGroup,
      group(
        "View",
        iconButton(ICONS.whole, "Show all (0)", () => listener.wholeAsked()),
        iconButton(ICONS.link, "Copy a link to this view", () => listener.linked()),
        iconButton(ICONS.reload, "Look for new runs and exports", () => listener.reloaded()),
        iconButton(ICONS.help, "Mouse and keys (?)", () => listener.helped()),
        this.sideButton,
      ),
    );
    this.setTool("move");
    this.setMode("replace");
  }

  searched() {
    this.listener.searched(this.search.value, this.regex.getAttribute("aria-pressed") === "true");
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
   * @param {string | null} problem of what was asked
   */
  setHits(hits, all, filtered, problem) {
    const told = `${hits.toLocaleString("en")} of ${all.toLocaleString("en")}`;
    this.hits.textContent = filtered ? told : "";
    this.search.classList.toggle("counted", filtered);
    this.wrong.textContent = problem ?? "";
    this.wrong.hidden = problem === null;
    this.hits.classList.toggle("none", filtered && hits === 0);
    this.previous.disabled = this.next.disabled = !filtered || hits === 0;
  }

  /** @param {string[]} names what gave the photos of each run their places in the plane */
  setLayouts(names) {
    const told = [...new Set(names)].join(", ");
    const title = `From ${told} places to grid cells`;
    this.places.textContent = told;
    this.snap.setAttribute("aria-label", title);
    this.snap.title = `${title} (g)`;
  }

  /** @param {number} share */
  setSnap(share) {
    this.snap.value = String(share);
  }

  /** @param {Tool} tool */
  setTool(tool) {
    for (const made of this.tools) {
      made.setAttribute("aria-pressed", String(made.dataset.tool === tool));
    }
    // It keeps its room, so that the map does not move under the pointer.
    this.modeGroup.style.visibility = tool === "move" ? "hidden" : "visible";
  }

  /** @param {Mode} mode */
  setMode(mode) {
    for (const made of this.modes) {
      made.setAttribute("aria-pressed", String(made.dataset.mode === mode));
    }
  }
}

/** @param {string} name @param {(value: string) => void} chosen */
function select(name, chosen) {
  const field = element("select", {
    "aria-label": name,
    title: name,
    onchange: () => chosen(field.value),
  });
  const node = element("div", { class: "choice" }, field);
  return {
    node,
    field,
    /** @param {{value: string, text: string}[]} options @param {string} value */
    set(options, value) {
      fill(
        field,
        ...options.map((option) => element("option", { value: option.value }, option.text)),
      );
      field.value = value;
    },
  };
}

/** @param {string} path @param {string} title @param {() => void} pressed */
function iconButton(path, title, pressed) {
  return element(
    "button",
    { type: "button", class: "icon-button", title, "aria-label": title, onclick: pressed },
    /** @type {Node} */ (icon(path)),
  );
}

/** @param {string} text @param {string} title @param {() => void} pressed */
function toggle(text, title, pressed) {
  return element(
    "button",
    { type: "button", class: "toggle", title, "aria-label": title, "aria-pressed": "false",
      onclick: pressed },
    text,
  );
}

/** @param {Element} node */
function flip(node) {
  node.setAttribute("aria-pressed", String(node.getAttribute("aria-pressed") !== "true"));
}

/** @param {string} name @param {...HTMLElement} members */
function group(name, ...members) {
  return element("div", { class: "group", role: "group", "aria-label": name }, ...members);
}
