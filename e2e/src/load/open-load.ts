import { setTimeout as sleep } from "node:timers/promises";
import type { StreamProcessor } from "@millrace/sdk";
import type { Sent } from "@millrace/testkit";
import { idOf } from "../judge/delivery.js";

export interface OpenLoad {
  readonly sent: Sent[];
  /** When each message should have been sent, by `performance.now`. */
  readonly intendedMs: ReadonlyMap<string, number>;
  /** When each was acknowledged, likewise. */
  readonly acknowledgedMs: ReadonlyMap<string, number>;
  /** Messages whose outcome was an error, by what it said. */
  readonly refusals: Map<string, number>;
  /** Ends it, and waits for what has no outcome yet. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  ratePerSecond: number;
  /** The first id; two loads of one stream must not share ids. */
  first?: number;
  /** What a message says beside its id. */
  textOf?: (id: string) => string;
}

/**
 * Publishes at a fixed rate, whatever became of what was sent before: who waits for a slow system measures
 * less than its users suffer.
 */
export function startLoad(processor: StreamProcessor, options: LoadOptions): OpenLoad {
  const { ratePerSecond, first = 0, textOf = (id) => id } = options;
  const sent: Sent[] = [];
  const intendedMs = new Map<string, number>();
  const acknowledgedMs = new Map<string, number>();
  const refusals = new Map<string, number>();
  const open = new Set<Promise<void>>();
  let isOver = false;
  const send = (number: number, atMs: number): void => {
    const id = idOf(first + number);
    const one = { id, source: "load", position: number, content: id, acknowledged: false };
    sent.push(one);
    intendedMs.set(id, atMs);
    const outcome = processor.publish({ text: textOf(id), sourceId: "load" }).then(
      () => {
        one.acknowledged = true;
        acknowledgedMs.set(id, performance.now());
      },
      (error: unknown) => {
        const what = error instanceof Error ? error.message : String(error);
        refusals.set(what, (refusals.get(what) ?? 0) + 1);
      },
    );
    open.add(outcome);
    void outcome.finally(() => open.delete(outcome));
  };
  const running = (async () => {
    const began = performance.now();
    for (let number = 0; !isOver; ) {
      const due = ((performance.now() - began) * ratePerSecond) / 1000;
      for (; number <= due; number++) send(number, began + (number * 1000) / ratePerSecond);
      await sleep(5);
    }
  })();
  return {
    sent,
    intendedMs,
    acknowledgedMs,
    refusals,
    async stop() {
      isOver = true;
      await running;
      await Promise.all(open);
    },
  };
}
