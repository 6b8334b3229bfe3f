import assert from "node:assert/strict";
import { test } from "node:test";
import { toTensor } from "./tensor.js";

test("a tensor keeps proportions in a corner, and its places lead back", async () => {
  const white = { width: 200, height: 100, data: new Uint8Array(200 * 100 * 3).fill(255) };
  const options = { width: 64, height: 64, fit: "letterbox", mean: 127.5, deviation: 127.5 } as const;
  const { data, shape, perPixel } = await toTensor(white, { ...options, layout: "nchw" });
  assert.deepEqual([shape, data.length, perPixel.x], [[1, 3, 64, 64], 3 * 64 * 64, 200 / 64]);
  assert.deepEqual([data[0], data[31 * 64 + 63], data[33 * 64]], [1, 1, -1]);
  const nhwc = await toTensor(white, { ...options, layout: "nhwc" });
  assert.deepEqual([nhwc.shape, nhwc.data[0], nhwc.data.at(-1)], [[1, 64, 64, 3], 1, -1]);
});
