import type { Tailed } from "@millrace/messaging";
import { createResultEntry, type ResultEntry } from "./result-entry.js";

export interface CatchUpParts {
  /** Reads the stream's results from a number on. */
  tail(of: { tenant: string; stream: string }, from: number, signal: AbortSignal): AsyncGenerator<Tailed>;
  /** The number of the stream's first result that is not below this one. */
  firstFrom(of: { tenant: string; stream: string }, seq: number): Promise<number | undefined>;
  now(): number;
}

interface Range {
  from: number;
  to: number;
  signal: AbortSignal;
}

/** The stream's results of these numbers, both included. */
export async function* catchUp(
  { tail, firstFrom, now }: CatchUpParts,
  of: { tenant: string; stream: string },
  { from, to, signal }: Range,
): AsyncGenerator<ResultEntry> {
  // Asked before it is waited for: there may be none, and then none would ever come.
  const first = await firstFrom(of, from);
  if (first === undefined || first > to) return;
  for await (const tailed of tail(of, first, signal)) {
    if (tailed.seq > to) return;
    yield createResultEntry(tailed, now());
    if (tailed.pending === 0) return;
  }
}
