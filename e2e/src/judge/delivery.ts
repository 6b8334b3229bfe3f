import { findDuplicated, findLost, type Sent } from "@millrace/testkit";

/** What a run under load has come to. */
export interface Run {
  sent: readonly Sent[];
  /** Ids in the store, each time that they stand there. */
  stored: readonly string[];
  /** Milliseconds from when a message should have been sent until it arrived at the subscriber. */
  latencies: readonly number[];
}

export interface Bounds {
  p99Ms: number;
  /** Messages at least that were acknowledged: else nothing was tested. */
  acknowledgedMin: number;
}

export function judgeRun({ sent, stored, latencies }: Run, bounds: Bounds): string[] {
  const arrived = stored.map((id) => ({ id, content: id }));
  const history = { sent, arrived };
  const known = new Set(sent.map(({ id }) => id));
  const acknowledged = sent.filter((one) => one.acknowledged).length;
  const p99 = percentile(latencies, 0.99);
  return [
    ...findLost(history).map((id) => `${id} was acknowledged and is not in the store`),
    ...findDuplicated(history).map((id) => `${id} stands in the store more than once`),
    ...[...new Set(stored)].filter((id) => !known.has(id)).map((id) => `${id} was never sent`),
    ...(acknowledged < bounds.acknowledgedMin
      ? [`${acknowledged} were acknowledged, of ${bounds.acknowledgedMin} at least`]
      : []),
    ...(latencies.length === 0 ? ["nothing arrived at the subscriber"] : []),
    ...(p99 > bounds.p99Ms ? [`p99 is ${Math.round(p99)} ms, above ${bounds.p99Ms}`] : []),
  ];
}

/** By nearest rank; 0 of none. */
export function percentile(numbers: readonly number[], share: number): number {
  const sorted = Float64Array.from(numbers).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/**
 * Letters only: no detector of personal data takes one for a number, so what is stored is what was sent.
 */
export function idOf(number: number): string {
  const digits = number.toString(26).padStart(6, "0");
  return [...digits].map((digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join("");
}
