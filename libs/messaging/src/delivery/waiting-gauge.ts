import type { CodedError } from "@millrace/errors";
import type { Metrics } from "@millrace/runtime";

/** Who waits for whom: deliveries by what they wait for, such as `bus:clean` or `segments:room`. */
export interface WaitingGauge {
  /** One that waited for `from` waits for `to` now; undefined: it does not wait. */
  move(from: string | undefined, to: string | undefined): void;
}

export function createWaitingGauge(metrics: Metrics, waiter: string): WaitingGauge {
  const gauge = metrics.gauge("millrace_backpressure_waiting", "What waits for what.", ["waiter", "for"]);
  const counts = new Map<string, number>();
  const add = (what: string, change: 1 | -1): void => {
    const count = (counts.get(what) ?? 0) + change;
    counts.set(what, count);
    gauge.set({ waiter, for: what }, count);
  };
  return {
    move: (from, to) => {
      if (from === to) return;
      if (from !== undefined) add(from, -1);
      if (to !== undefined) add(to, 1);
    },
  };
}

/** What is full or away, as far as the error names it. */
export function waitedFor({ subject, code }: CodedError): string {
  return subject ?? code;
}
