/** The service's pages, as far as they need no browser. */

import assert from "node:assert/strict";
import test from "node:test";

import {chosen, each, labelOf, mayBePicture} from "../../tbgrid/serve/static/dropped.js";
import {outline} from "../../tbgrid/serve/static/docs.js";

test("the last folder is the label", () => {
  for (const [path, label] of [
    ["/photos/cat/1.jpg", "cat"],
    ["cat/1.jpg", "cat"],
    ["/1.jpg", ""],
    ["1.jpg", ""],
    ["", ""],
  ]) {
    assert.equal(labelOf(path ?? ""), label);
  }
});

test("what cannot be a picture is left out", () => {
  const files = [
    new File(["x"], "a.txt", {type: "text/plain"}),
    new File(["x"], "b.HEIC"),
    new File(["x"], "c", {type: "image/png"}),
  ];
  assert.deepEqual(files.map(mayBePicture), [false, true, true]);
  assert.deepEqual(chosen(files).map((one) => one.file.name), ["b.HEIC", "c"]);
});

test("work is done once each, a few at a time, and failures do not stop it", async () => {
  /** @type {number[]} */
  const done = [];
  /** @type {[number, string][]} */
  const failed = [];
  let now = 0;
  let most = 0;
  await each(
    [...Array(20).keys()],
    4,
    async (item) => {
      most = Math.max(most, ++now);
      await new Promise((go) => setTimeout(go, 1));
      now -= 1;
      if (item % 7 === 3) throw new Error("refused");
      done.push(item);
    },
    (item, error) => failed.push([item, error.message]),
  );
  assert.equal(most, 4);
  assert.deepEqual(failed.map(([item]) => item).sort((a, b) => a - b), [3, 10, 17]);
  assert.equal(new Set(done).size, 17);
  await each([], 4, async () => assert.fail(), () => assert.fail());
});

test("a schema is outlined, references followed", () => {
  const document = {
    components: {
      schemas: {
        Photo: {
          properties: {
            id: {type: "string"},
            side: {anyOf: [{type: "integer"}, {type: "null"}]},
            kind: {enum: ["a", "b"]},
          },
          required: ["id"],
        },
        Self: {properties: {inner: {$ref: "#/components/schemas/Self"}}},
      },
    },
  };
  const list = {type: "array", items: {$ref: "#/components/schemas/Photo"}};
  assert.deepEqual(outline(list, document), [
    {id: "string", "side?": "integer or null", "kind?": "a | b"},
  ]);
  assert.ok(JSON.stringify(outline({$ref: "#/components/schemas/Self"}, document)));
});
