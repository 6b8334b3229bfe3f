import assert from "node:assert/strict";
import { test } from "node:test";
import { turned, turnedBack } from "./turn.js";

test("a box in a turned picture leads back to the same pixel", () => {
  // 3 × 2 pixels, each of its own colour.
  const pixels = { width: 3, height: 2, data: Uint8Array.from({ length: 18 }, (_, i) => i) };
  for (const quarters of [1, 2, 3] as const) {
    const held = turned(pixels, quarters);
    for (let y = 0; y < held.height; y++) {
      for (let x = 0; x < held.width; x++) {
        const back = turnedBack({ x, y, width: 1, height: 1 }, quarters, pixels);
        assert.equal(pixels.data[(back.y * 3 + back.x) * 3], held.data[(y * held.width + x) * 3]);
      }
    }
  }
  assert.deepEqual([...turned(pixels, 1).data.subarray(0, 3)], [9, 10, 11]);
});
