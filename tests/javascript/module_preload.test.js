import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { MODULES } from "../../tbgrid/plugin/static/module_preload.js";

const STATIC = new URL("../../tbgrid/plugin/static/", import.meta.url);

/**
 * A module and everything that it imports, directly or not.
 *
 * @param {string} name @param {Set<string>} found
 */
function collectImports(name, found = new Set()) {
  if (!found.has(name)) {
    found.add(name);
    const source = readFileSync(new URL(name, STATIC), "utf8");
    for (const [, imported] of source.matchAll(/^[^*/]*\bfrom "\.\/(\w+\.js)";$/gm)) {
      collectImports(imported, found);
    }
  }
  return found;
}

test("the app's modules are preloaded, each once and no others", () => {
  const loaded = collectImports("index.js");
  const wanted = [...collectImports("app.js")].filter((name) => !loaded.has(name));
  assert.ok(wanted.length > 30);
  assert.deepEqual([...MODULES].sort(), wanted.sort());
});
