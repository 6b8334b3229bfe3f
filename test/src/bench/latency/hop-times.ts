import type { ReceivedMessage } from "@millrace/sdk";
import { summarise } from "../percentiles.js";
import { line, rounded, table } from "../report.js";

/*
 * Where the time of a message goes, by what it brings along: when buffer accepted it, and when each service
 * began and ended with its batch. All processes of the bench read one clock.
 *
 *   intended ─► accepted ─► privacy began ─► ended ─► output began ─► ended ─► received
 */
export interface HopTimes {
  /** Both times by the client's monotonic clock, in ms. */
  add(message: ReceivedMessage, times: { intendedMs: number; receivedMs: number }): void;
  /** Medians and tails of each part of the way, in ms. */
  parts(): HopPart[];
  /** Messages that travelled together, on average. */
  messagesPerBatch(): number;
}

export interface HopPart {
  part: string;
  p50: number;
  p99: number;
}

export function createHopTimes(): HopTimes {
  const times = new Map<string, number[]>();
  const batches = new Set<number>();
  let messages = 0;
  const note = (part: string, ms: number): void => {
    const of = times.get(part);
    if (of === undefined) times.set(part, [ms]);
    else of.push(ms);
  };
  return {
    add: ({ acceptedTime, passport }, { intendedMs, receivedMs }) => {
      messages += 1;
      let reachedMs = performance.timeOrigin + intendedMs;
      const reach = (part: string, ms: number): void => {
        note(part, ms - reachedMs);
        reachedMs = ms;
      };
      // In whole ms: half of one too early on average.
      reach("intended, sent, accepted", acceptedTime.getTime() + 0.5);
      for (const { stage, startedUs, endedUs } of passport) {
        reach(`to ${stage}`, startedUs / 1_000);
        reach(`in ${stage}`, endedUs / 1_000);
      }
      batches.add(passport.at(-1)?.endedUs ?? 0);
      reach("to the subscriber", performance.timeOrigin + receivedMs);
    },
    parts: () =>
      [...times].map(([part, ms]) => {
        const { p50, p99 } = summarise(ms);
        return { part, p50, p99 };
      }),
    messagesPerBatch: () => messages / Math.max(1, batches.size),
  };
}

export function tellHopTimes(hops: HopTimes): void {
  table([
    ["part of the way", "p50 ms", "p99 ms"],
    ...hops.parts().map(({ part, p50, p99 }) => [part, rounded(p50, 2), rounded(p99, 2)]),
  ]);
  line(`  ${rounded(hops.messagesPerBatch(), 2)} messages a batch`);
}
