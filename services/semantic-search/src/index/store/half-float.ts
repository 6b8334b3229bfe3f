/*
 * Half floats (IEEE 754 binary16) of values between -1 and 1:
 *
 *   15   14..10     9..0
 *   sign exponent+15 fraction      value = (-1)^sign * 2^(exponent) * 1.fraction
 *
 * Values below 2^-14 become zero: a half float would hold them as subnormals, which slow the scan kernel, and
 * in a vector of length 1 they move the score by less than 0.0001.
 */
const smallestNormalBits = 0x38800000;
const exponentRebias = 0x1c000;

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/**
 * Writes `source * scale`, rounded to half floats, to `target` and returns the length (L2) of what was
 * written: rounding moves it a little away from 1, and the score is divided by it.
 */
export function encodeHalfFloats(source: Float32Array, scale: number, target: Uint16Array): number {
  let squares = 0;
  for (let lane = 0; lane < source.length; lane++) {
    float[0] = (source[lane] as number) * scale;
    const whole = bits[0] as number;
    const magnitude = whole & 0x7fffffff;
    // Round to nearest, ties to even, on the 13 bits that are cut off.
    const rounded = (magnitude + 0xfff + ((magnitude >> 13) & 1)) & ~0x1fff;
    if (rounded < smallestNormalBits) {
      target[lane] = 0;
      continue;
    }
    target[lane] = ((whole >>> 16) & 0x8000) | ((rounded >> 13) - exponentRebias);
    bits[0] = rounded;
    squares += (float[0] as number) * (float[0] as number);
  }
  return Math.sqrt(squares);
}

/** The exact values of half floats written by `encodeHalfFloats`. */
export function decodeHalfFloats(source: Uint16Array, target: Float32Array): void {
  const targetBits = new Int32Array(target.buffer, target.byteOffset, target.length);
  for (let lane = 0; lane < target.length; lane++) {
    const half = source[lane] as number;
    const magnitude = half & 0x7fff;
    targetBits[lane] = magnitude === 0 ? 0 : ((half & 0x8000) << 16) | ((magnitude + exponentRebias) << 13);
  }
}
