import { invalidArgument } from "../rpc/millrace-error.js";

/**
 * `"128MB"`, `"64MiB"`, or a number of bytes. KB, MB, GB and TB count by 1000; KiB, MiB, GiB and TiB by 1024.
 */
export type Size = string | number;

const unitBytes: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
};
const remedy =
  'Write a number with a unit, such as "512KB", "128MB", "64MiB" or "1GB", or a number of bytes.';

/** Bytes, whole and above zero. `field` is the option's name, for the error. */
export function parseSize(value: Size, field: string): number {
  const bytes = typeof value === "number" ? value : textToBytes(value);
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw invalidArgument(field, `is ${JSON.stringify(value)}, which is no size above zero`, remedy);
}

function textToBytes(value: unknown): number {
  const match = typeof value === "string" ? /^(\d+(?:\.\d+)?)([KMGT]i?B|B)$/.exec(value) : null;
  return Math.round(Number(match?.[1]) * (unitBytes[match?.[2] ?? ""] ?? Number.NaN));
}
