import { setTimeout as sleep } from "node:timers/promises";

export interface OpenLoop {
  ratePerSecond: number;
  count: number;
  /**
   * Called with the number and the moment, by performance.now(), at which it should be sent. Must not block.
   */
  send(index: number, intendedMs: number): void;
  signal: AbortSignal;
}

/**
 * Sends at a fixed rate, whatever became of what was sent before. Whoever measures from the intended moment
 * leaves nothing out: a late sender counts as latency.
 */
export async function runOpenLoop({ ratePerSecond, count, send, signal }: OpenLoop): Promise<void> {
  const begun = performance.now() + 20;
  const intended = (index: number): number => begun + (index * 1000) / ratePerSecond;
  for (let index = 0; index < count; ) {
    signal.throwIfAborted();
    const now = performance.now();
    for (; index < count && intended(index) <= now; index++) send(index, intended(index));
    // Timers have whole milliseconds and fire late: the last part of a pause gives way to other work only.
    const pauseMs = index < count ? intended(index) - performance.now() : 0;
    await sleep(Math.max(0, Math.floor(pauseMs) - 1));
  }
}
