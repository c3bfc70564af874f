import assert from "node:assert/strict";
import test from "node:test";

import { typicalSpacing } from "../../tbgrid/plugin/static/spacing.js";
import { Random, distanceTo, floats, listRows, scatter } from "./support.js";

test("spacing is the median distance to the nearest other position", () => {
  for (let seed = 0; seed < 30; seed++) {
    const random = new Random(seed);
    const n = 2 + random.below(300);
    const lumps = 1 + random.below(5);
    const positions = floats(2 * n, (i) => 100 * ((i >> 1) % lumps) + random.float() * 10);
    const distances = listRows(n).map((row) =>
      Math.min(
        ...listRows(n)
          .map((other) => distanceTo(positions, other, positions[2 * row], positions[2 * row + 1]))
          .filter((distance) => distance > 0),
      ),
    );
    const median = distances.sort((a, b) => a - b)[n >> 1];
    assert.ok(Math.abs(typicalSpacing(positions, n) - median) < 1e-9 * median, `seed ${seed}`);
  }
});

test("spacing is above zero whatever the positions", () => {
  assert.equal(typicalSpacing(new Float32Array(0), 0), 1);
  assert.equal(typicalSpacing(Float32Array.of(3, 3), 1), 1);
  assert.equal(typicalSpacing(floats(2000, () => 5), 1000), 1);
  assert.equal(typicalSpacing(floats(2000, (i) => (i % 2 ? 0 : i / 2)), 1000), 1); // on a line
  assert.equal(typicalSpacing(Float32Array.of(0, 0, 0, 0, 0, 0, 3, 4), 4), 5); // three alike
  const outlier = floats(2000, (i) => (i < 2 ? 1e30 : Math.floor(i / 2) % (i % 2 ? 32 : 31)));
  assert.equal(typicalSpacing(outlier, 1000), 1);
  assert.equal(typicalSpacing(floats(4, (i) => (i < 2 ? -3e38 : 3e38)), 2) > 0, true);
});

test("the spacing of a sample is close to that of all positions", () => {
  const random = new Random(9);
  const positions = scatter(random, 50_000, Math.sqrt(50_000));
  // The median distance to the nearest of scattered points of density 1 is sqrt(ln 2 / pi).
  assert.ok(Math.abs(typicalSpacing(positions, 50_000) - Math.sqrt(Math.LN2 / Math.PI)) < 0.06);
});
