import { invalidArgument } from "../rpc/millrace-error.js";

/** `"250ms"`, `"1s"`, `"5m"`, `"1h"`, `"7d"`, or a number of milliseconds. */
export type Duration = string | number;

const unitMs: Record<string, number> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const remedy =
  'Write a number with a unit, such as "250ms", "1s", "5m", "1h" or "7d", or a number of milliseconds.';

/** Milliseconds, whole and above zero. `field` is the option's name, for the error. */
export function parseDuration(value: Duration, field: string): number {
  const milliseconds = typeof value === "number" ? value : textToMs(value);
  if (Number.isSafeInteger(milliseconds) && milliseconds > 0) return milliseconds;
  throw invalidArgument(field, `is ${JSON.stringify(value)}, which is no duration above zero`, remedy);
}

/** The google.protobuf.Duration of a number of milliseconds. */
export function toWireDuration(milliseconds: number): { seconds: number; nanos: number } {
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: (milliseconds - seconds * 1_000) * 1e6 };
}

export function fromWireDuration(duration: { seconds: number; nanos: number }): number {
  return duration.seconds * 1_000 + duration.nanos / 1e6;
}

function textToMs(value: unknown): number {
  const match = typeof value === "string" ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null;
  return Number(match?.[1]) * (unitMs[match?.[2] ?? ""] ?? Number.NaN);
}
