// What mouse, fingers and keys do.

import { element } from "./dom.js";

const KEYS = /** @type {const} */ ([
  ["drag, one finger", "move the map"],
  ["wheel, two fingers, + −", "zoom"],
  ["double click", "zoom in there; with Shift, out"],
  ["0", "show all"],
  ["click, Enter", "pin a photo: large, with its nearest"],
  ["Esc", "unpin; while selecting, give up"],
  ["arrow keys", "from photo to photo; with Shift, move the map"],
  ["g", "between places in the plane and grid"],
  ["/", "search; Enter goes to the next match"],
  ["n, p", "next and previous match"],
  ["v, r, l", "move, rectangle, lasso"],
  ["Shift-drag", "select in a rectangle"],
  ["Shift, Alt while selecting", "add, take away"],
  ["Ctrl-click, s", "select a single photo"],
]);

const WORDS = /** @type {const} */ ([
  ["red fox", "both occur, anywhere in any column"],
  ['"red fox"', "the phrase occurs"],
  ["-fox", "without it"],
  ["label:cat", "it occurs in that column"],
  ["label=cat", "that column is just this"],
  ["width>300", "also >=, <, <=, = for numbers"],
  [".*", "the whole text as one regular expression"],
]);

/** @returns {HTMLDialogElement} */
export function helpDialog() {
  const dialog = element(
    "dialog",
    { class: "help", "aria-label": "Mouse and keys" },
    element("h2", {}, "Mouse and keys"),
    pairs(KEYS),
    element("h2", {}, "Search"),
    pairs(WORDS),
    element(
      "form",
      { method: "dialog" },
      element("button", { type: "submit", class: "main" }, "Close"),
    ),
  );
  return dialog;
}

/** @param {readonly (readonly [string, string])[]} lines */
function pairs(lines) {
  return element(
    "dl",
    { class: "keys" },
    ...lines.flatMap(([name, text]) => [element("dt", {}, name), element("dd", {}, text)]),
  );
}
