import assert from "node:assert/strict";
import test from "node:test";

import { describeChanges } from "../../tbgrid/plugin/static/run_changes.js";

/** Runs by name and export. @param {Record<string, string>} exports */
const runs = (exports) =>
  Object.entries(exports).map(([run, fingerprint]) => ({ run, export: fingerprint, error: null }));

test("new, removed and replaced runs are named", () => {
  const before = runs({ a: "1", b: "1", c: "1" });
  const now = runs({ a: "2", b: "2", d: "1" });
  assert.equal(describeChanges(before, now, before.slice(0, 1)),
    "a has been re-exported, new run d, c has been removed");
});

test("a new export counts only if the page shows the old one", () => {
  const [before, now] = [runs({ a: "1" }), runs({ a: "2" })];
  assert.equal(describeChanges(before, now, []), "No changes");
  assert.equal(describeChanges(before, before, before), "No changes");
});

test("many changes are counted beyond the first three", () => {
  const names = Object.fromEntries(Array.from("abcdef", (name) => [name, "1"]));
  assert.equal(describeChanges([], runs(names), []),
    "new run a, new run b, new run c and 3 more");
  const four = Object.fromEntries(Array.from("abcd", (name) => [name, "1"]));
  assert.equal(describeChanges([], runs(four), []),
    "new run a, new run b, new run c, new run d");
});
