import assert from "node:assert/strict";
import test from "node:test";

import { Keyboard } from "../../tbgrid/plugin/static/keyboard.js";

/** A keyboard that writes down what its keys do; only a pane called "hovered" has a photo. */
function createKeyboard() {
  /** @type {string[]} */
  const log = [];
  /** @type {Keyboard<string>} */
  const keyboard = new Keyboard({
    focusSearch: () => log.push("search"),
    stepHit: (step) => log.push(`step ${step}`),
    toggleSnap: () => log.push("snap"),
    setTool: (tool) => log.push(tool),
    showHelp: () => log.push("help"),
    unpin: () => log.includes("snap") && log.push("unpin") > 0,
    toggleHovered: (pane) => pane === "hovered" && log.push(`toggle ${pane}`) > 0,
  });
  return { keyboard, log };
}

test("each key does what the help says", () => {
  const { keyboard, log } = createKeyboard();
  for (const key of ["/", "n", "p", "g", "v", "r", "l", "?"]) {
    assert.equal(keyboard.press(key), true, key);
  }
  const expected = ["search", "step 1", "step -1", "snap", "move", "rectangle", "lasso", "help"];
  assert.deepEqual(log, expected);
});

test("keys without a meaning are left to the browser, also those of every object", () => {
  const { keyboard, log } = createKeyboard();
  for (const key of ["a", "N", "", "Tab", "constructor", "__proto__", "toString"]) {
    assert.equal(keyboard.press(key), false, key);
  }
  assert.deepEqual(log, []);
});

test("a key whose action does not apply is left to the browser", () => {
  const { keyboard, log } = createKeyboard();
  assert.equal(keyboard.press("Escape"), false); // nothing is pinned
  assert.equal(keyboard.press("s"), false); // no map has the focus
  assert.equal(keyboard.press("s", "empty"), false); // no photo is pointed at
  assert.equal(keyboard.press("s", "hovered"), true);
  assert.deepEqual(log, ["toggle hovered"]);
});
