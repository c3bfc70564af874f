import assert from "node:assert/strict";
import test from "node:test";

import { parts, written } from "../../tbgrid/plugin/static/address_bar.js";

test("what TensorBoard keeps in the fragment stays", () => {
  const hash = "#tbgrid&p.other.x=1&p.tbgrid.run=old";
  const now = written(hash, new Map([["run", "a/b c&d=é#"]]));
  assert.ok(now.startsWith("#tbgrid&p.other.x=1&p.tbgrid.run="));
  assert.deepEqual(parts(now).others, ["tbgrid", "p.other.x=1"]);
  assert.equal(parts(now).own.get("run"), "a/b c&d=é#");
  assert.equal(written(now, new Map()), "#tbgrid&p.other.x=1");
});

test("values come back whatever they hold", () => {
  for (const value of ["", "=", "&p.tbgrid.run=x", "%", "😀", "a\nb", "1,2,3"]) {
    assert.equal(parts(written("", new Map([["filter", value]]))).own.get("filter"), value);
  }
});

test("a fragment that is not ours says nothing and breaks nothing", () => {
  for (const hash of ["", "#", "#timeseries", "#p.tbgrid.run=%E0%A4%A", "#&&=&"]) {
    assert.equal(parts(hash).own.size, 0);
  }
});
