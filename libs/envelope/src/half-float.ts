/**
 * IEEE 754 binary16, little endian, two bytes a number; how embeddings travel:
 *
 *     15   14 ─── 10   9 ──────── 0
 *     sign exponent+15 fraction          largest 65,504 · smallest normal 2^-14 · smallest 2^-24
 *
 * A number of an embedding (length 1) keeps 11 significant bits: cosines move by less than 0.001.
 */
import { CodedError } from "@millrace/errors";

/** Rounds to the nearest, ties to even; beyond the range becomes an infinity, NaN stays NaN. */
export function encodeHalf(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.length * 2);
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < bits.length; i++) {
    const half = halfOf(bits[i] ?? 0);
    bytes[2 * i] = half & 0xff;
    bytes[2 * i + 1] = half >>> 8;
  }
  return bytes;
}

/** @throws CodedError invalid_argument when the bytes are not whole numbers. */
export function decodeHalf(bytes: Uint8Array): Float32Array {
  if (bytes.length % 2 !== 0) {
    throw new CodedError(
      "invalid_argument",
      `decode half floats: ${bytes.length} bytes are not a multiple of 2`,
    );
  }
  const values = new Float32Array(bytes.length / 2);
  for (let i = 0; i < values.length; i++) {
    values[i] = numberOf((bytes[2 * i] ?? 0) | ((bytes[2 * i + 1] ?? 0) << 8));
  }
  return values;
}

/** From the bits of a binary32 (8 exponent bits at bias 127, 23 fraction bits). */
function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return sign | (fraction === 0 ? 0x7c00 : 0x7e00);
  const shifted = exponent - 112;
  if (shifted >= 31) return sign | 0x7c00;
  if (shifted > 0) return sign | roundEven((shifted << 23) | fraction, 13);
  // Below 2^-25 everything is zero; a tie at 2^-25 itself rounds to the even zero.
  if (shifted < -10) return sign;
  return sign | roundEven(fraction | 0x800000, 14 - shifted);
}

/** `value` without its lowest `shift` bits, rounded; a carry into the exponent is right as it stands. */
function roundEven(value: number, shift: number): number {
  const kept = value >>> shift;
  const rest = value & ((1 << shift) - 1);
  const tie = 1 << (shift - 1);
  return rest > tie || (rest === tie && (kept & 1) === 1) ? kept + 1 : kept;
}

function numberOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
