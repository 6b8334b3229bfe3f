import assert from "node:assert/strict";
import { test } from "node:test";
import { blurBoxes } from "./blur.js";

test("a blurred box keeps 48 numbers, and nothing outside of it changes", () => {
  const noise = () => Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 251);
  const pixels = { width: 64, height: 64, data: noise() };
  const other = { width: 64, height: 64, data: noise() };
  // Another face of the same means: two pixels of one cell swapped.
  const [a, b] = [(20 * 64 + 20) * 3, (20 * 64 + 21) * 3];
  const pixel = other.data.slice(a, a + 3);
  other.data.copyWithin(a, b, b + 3);
  other.data.set(pixel, b);
  const box = { x: 16, y: 16, width: 32, height: 32 };
  blurBoxes(pixels, [box]);
  blurBoxes(other, [box]);
  assert.deepEqual(other.data, pixels.data);
  const changed = noise().findIndex((byte, i) => byte !== pixels.data[i]);
  assert.ok(changed >= (16 * 64 + 16) * 3);
  blurBoxes(pixels, [{ x: -10, y: 60, width: 1_000, height: 9 }]);
});
