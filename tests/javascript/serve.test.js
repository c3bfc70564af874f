// Those parts of the service's pages that need no browser.

import assert from "node:assert/strict";
import test from "node:test";

import { outlineSchema } from "../../tbgrid/serve/static/docs.js";
import { forEachConcurrently, labelOf, mayBeImage, selectPhotos }
  from "../../tbgrid/serve/static/photo_files.js";

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

test("files that cannot be images are skipped", () => {
  const files = [
    new File(["x"], "a.txt", { type: "text/plain" }),
    new File(["x"], "b.HEIC"),
    new File(["x"], "c", { type: "image/png" }),
  ];
  assert.deepEqual(files.map(mayBeImage), [false, true, true]);
  assert.deepEqual(selectPhotos(files).map(({ file }) => file.name), ["b.HEIC", "c"]);
});

test("each item is processed once, a few at a time, and errors do not stop the others", async () => {
  /** @type {number[]} */
  const done = [];
  /** @type {[number, string][]} */
  const failed = [];
  let running = 0;
  let maxRunning = 0;
  await forEachConcurrently(
    [...Array(20).keys()],
    4,
    async (item) => {
      maxRunning = Math.max(maxRunning, ++running);
      await new Promise((resolve) => setTimeout(resolve, 1));
      running -= 1;
      if (item % 7 === 3) throw new Error("refused");
      done.push(item);
    },
    (item, error) => failed.push([item, error.message]),
  );
  assert.equal(maxRunning, 4);
  assert.deepEqual(failed.map(([item]) => item).sort((a, b) => a - b), [3, 10, 17]);
  assert.equal(new Set(done).size, 17);
  await forEachConcurrently([], 4, async () => assert.fail(), () => assert.fail());
});

test("a schema is outlined with its references resolved", () => {
  const document = {
    components: {
      schemas: {
        Photo: {
          properties: {
            id: { type: "string" },
            side: { anyOf: [{ type: "integer" }, { type: "null" }] },
            kind: { enum: ["a", "b"] },
          },
          required: ["id"],
        },
        Self: { properties: { inner: { $ref: "#/components/schemas/Self" } } },
      },
    },
  };
  const list = { type: "array", items: { $ref: "#/components/schemas/Photo" } };
  assert.deepEqual(outlineSchema(list, document), [
    { id: "string", "side?": "integer or null", "kind?": "a | b" },
  ]);
  assert.ok(JSON.stringify(outlineSchema({ $ref: "#/components/schemas/Self" }, document)));
});
