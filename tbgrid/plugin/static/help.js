// The dialog that explains mouse, touch, keyboard and search.

import { createElement } from "./dom.js";

const CONTROLS = /** @type {const} */ ([
  ["drag, one finger", "pan the map"],
  ["wheel, two fingers, + −", "zoom"],
  ["double click", "zoom in; with Shift, zoom out"],
  ["0", "show the whole map"],
  ["click, Enter", "pin a photo: shows it enlarged, with its nearest photos"],
  ["Esc", "unpin; cancel a selection while drawing it"],
  ["arrow keys", "move from photo to photo; with Shift, pan the map"],
  ["g", "switch between layout positions and grid"],
  ["/", "search; Enter goes to the next match"],
  ["n, p", "next and previous match"],
  ["v, r, l", "move, rectangle, lasso"],
  ["Shift-drag", "select with a rectangle"],
  ["Shift, Alt while selecting", "add to the selection, subtract from it"],
  ["Ctrl-click, s", "select a single photo"],
]);

const SEARCHES = /** @type {const} */ ([
  ["red fox", "both words, anywhere in any column"],
  ['"red fox"', "the exact phrase"],
  ["-fox", "without this word"],
  ["label:cat", "this word in this column"],
  ["label=cat", "exactly this value in this column"],
  ["width>300", "numbers; also >=, <, <= and ="],
  [".*", "treat the whole search as one regular expression"],
]);

/** @returns {HTMLDialogElement} */
export function createHelpDialog() {
  return createElement(
    "dialog",
    { class: "help", "aria-label": "Mouse and keyboard" },
    createElement("h2", {}, "Mouse and keyboard"),
    createList(CONTROLS),
    createElement("h2", {}, "Search"),
    createList(SEARCHES),
    createElement(
      "form",
      { method: "dialog" },
      createElement("button", { type: "submit", class: "main" }, "Close"),
    ),
  );
}

/** @param {readonly (readonly [string, string])[]} lines */
function createList(lines) {
  return createElement(
    "dl",
    { class: "keys" },
    ...lines.flatMap(([term, text]) => [
      createElement("dt", {}, term), createElement("dd", {}, text),
    ]),
  );
}
