import assert from "node:assert/strict";
import test from "node:test";

import { parseSnap } from "../../tbgrid/plugin/static/link_values.js";

test("photos are on the grid unless a link says something else, within limits", () => {
  const texts = [undefined, "", "1", "0", "0.25", "-3", "7", "nonsense", "Infinity", "NaN"];
  assert.deepEqual(texts.map(parseSnap), [1, 1, 1, 0, 0.25, 0, 1, 1, 1, 1]);
});
