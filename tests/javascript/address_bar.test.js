import assert from "node:assert/strict";
import test from "node:test";

import { replaceOwnParts, splitFragment } from "../../tbgrid/plugin/static/address_bar.js";

test("what TensorBoard keeps in the fragment is left alone", () => {
  const hash = "#tbgrid&p.other.x=1&p.tbgrid.run=old";
  const after = replaceOwnParts(hash, new Map([["run", "a/b c&d=é#"]]));
  assert.ok(after.startsWith("#tbgrid&p.other.x=1&p.tbgrid.run="));
  assert.deepEqual(splitFragment(after).others, ["tbgrid", "p.other.x=1"]);
  assert.equal(splitFragment(after).own.get("run"), "a/b c&d=é#");
  assert.equal(replaceOwnParts(after, new Map()), "#tbgrid&p.other.x=1");
});

test("values survive the round trip whatever they contain", () => {
  for (const value of ["", "=", "&p.tbgrid.run=x", "%", "😀", "a\nb", "1,2,3"]) {
    const hash = replaceOwnParts("", new Map([["filter", value]]));
    assert.equal(splitFragment(hash).own.get("filter"), value);
  }
});

test("a foreign fragment holds no values and breaks nothing", () => {
  for (const hash of ["", "#", "#timeseries", "#p.tbgrid.run=%E0%A4%A", "#&&=&"]) {
    assert.equal(splitFragment(hash).own.size, 0);
  }
});
