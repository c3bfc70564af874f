import assert from "node:assert/strict";
import test from "node:test";

import { Animator } from "../../tbgrid/plugin/static/animator.js";

test("a motion begins with its first frame, ends at 1 and is gone", () => {
  let started = 0;
  /** @type {number[]} */
  const steps = [];
  const animator = new Animator(() => started++);
  animator.start(100, (t) => steps.push(t));
  assert.equal(started, 1);
  for (const now of [5000, 5025, 5050, 5130]) {
    assert.ok(animator.running);
    animator.advance(now);
  }
  assert.deepEqual(steps, [0, 0.25, 0.5, 1]);
  assert.equal(animator.running, false);
});

test("a motion that replaces another ends it where it is; the others continue", () => {
  /** @type {string[]} */
  const steps = [];
  const animator = new Animator(() => {});
  const first = animator.start(100, (t) => steps.push(`first ${t}`));
  animator.start(100, (t) => steps.push(`other ${t}`));
  animator.advance(10);
  animator.start(100, (t) => steps.push(`second ${t}`), first);
  animator.advance(60);
  assert.deepEqual(steps, ["first 0", "other 0", "other 0.5", "second 0"]);
});

test("a stopped motion takes no further step, and one that never was can be stopped", () => {
  const animator = new Animator(() => {});
  const motion = animator.start(100, () => assert.fail("it was stopped"));
  animator.stop(undefined);
  assert.ok(animator.running);
  animator.stop(motion);
  animator.advance(10);
  assert.equal(animator.running, false);
});
