import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeHalf, encodeHalf } from "./half-float.js";

function halfBits(value: number): number {
  const [low = 0, high = 0] = encodeHalf(Float32Array.of(value));
  return low | (high << 8);
}

test("known numbers have the bits of IEEE 754", () => {
  const known: [number, number][] = [
    [0, 0x0000],
    [-0, 0x8000],
    [1, 0x3c00],
    [-2, 0xc000],
    [0.1, 0x2e66],
    [65504, 0x7bff],
    [2 ** -14, 0x0400],
    [2 ** -24, 0x0001],
    [1 / 3, 0x3555],
    [Number.POSITIVE_INFINITY, 0x7c00],
    [Number.NEGATIVE_INFINITY, 0xfc00],
    [Number.NaN, 0x7e00],
  ];
  for (const [value, bits] of known) assert.equal(halfBits(value), bits, String(value));
});

test("each of the 65,536 halves comes back as itself", () => {
  for (let half = 0; half < 65536; half++) {
    const [value = 0] = decodeHalf(Uint8Array.of(half & 0xff, half >>> 8));
    if (Number.isNaN(value)) assert.equal(halfBits(value), 0x7e00);
    else assert.equal(halfBits(value), half);
  }
});

test("rounds to the nearest half, ties to even, between all neighbours", () => {
  for (let half = 0; half < 0x7bff; half++) {
    const [low = 0, high = 0] = decodeHalf(
      Uint8Array.of(half & 0xff, half >>> 8, (half + 1) & 0xff, (half + 1) >>> 8),
    );
    const middle = (low + high) / 2;
    const quarter = (high - low) / 4;
    assert.equal(halfBits(middle), half + (half & 1), `tie above ${low}`);
    assert.equal(halfBits(middle - quarter), half);
    assert.equal(halfBits(middle + quarter), half + 1);
  }
});

test("what is beyond the range becomes infinite, what is too small becomes zero", () => {
  assert.equal(halfBits(65519), 0x7bff);
  assert.equal(halfBits(65520), 0x7c00);
  assert.equal(halfBits(-1e30), 0xfc00);
  assert.equal(halfBits(2 ** -25), 0x0000);
  assert.equal(halfBits(2 ** -25 * 1.01), 0x0001);
  assert.equal(halfBits(-1e-30), 0x8000);
});

test("reads a view that does not begin at a multiple of anything", () => {
  const bytes = new Uint8Array(5);
  bytes.set(encodeHalf(Float32Array.of(0.5, -1.5)), 1);
  assert.deepEqual([...decodeHalf(bytes.subarray(1))], [0.5, -1.5]);
});

test("refuses half a number", () => {
  assert.throws(() => decodeHalf(new Uint8Array(3)), { code: "invalid_argument" });
});
