import test from "node:test";

import { requireLittleEndian } from "../../tbgrid/plugin/static/buffers.js";
import { decodeCategory, decodeNumber, decodeText }
  from "../../tbgrid/plugin/static/columns.js";
import { decodeHarmony, decodePositions } from "../../tbgrid/plugin/static/map_arrays.js";
import { assertRejected } from "./support.js";

test("a big-endian machine gets a message that says so", () => {
  requireLittleEndian();
  assertRejected(() => requireLittleEndian(false), /big-endian/);
});

test("any number of bytes but the right one is rejected", () => {
  for (let size = 0; size < 40; size++) {
    const buffer = new ArrayBuffer(size);
    const accepted = [
      [24, () => decodeNumber("x", buffer, 3)],
      [24, () => decodePositions(buffer, 3)],
      [12, () => decodeHarmony(buffer, 3)],
      [12, () => decodeCategory("c", buffer, ["a"], 3)],
      [16, () => decodeText("t", new ArrayBuffer(0), buffer, 3)],
    ];
    for (const [right, decode] of /** @type {[number, () => unknown][]} */ (accepted)) {
      if (size === right) {
        decode();
      } else {
        assertRejected(decode, new RegExp(`found ${size} bytes, expected ${right}`));
      }
    }
  }
});
