import type { Clock } from "../clock.js";

/** A clock that moves only when told to. */
export interface FakeClock extends Clock {
  /** Moves time on; sleepers whose time has come wake in order, each running before the next one wakes. */
  advance(ms: number): Promise<void>;
  /** Sleepers that are waiting. */
  sleeping(): number;
}

interface Sleeper {
  at: number;
  wake(): void;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let elapsed = 0;
  const sleepers = new Set<Sleeper>();
  const earliest = (until: number): Sleeper | undefined => {
    let first: Sleeper | undefined;
    for (const sleeper of sleepers) {
      if (sleeper.at <= until && (first === undefined || sleeper.at < first.at)) first = sleeper;
    }
    return first;
  };
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    sleeping: () => sleepers.size,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper: Sleeper = {
          at: elapsed + ms,
          wake: () => {
            sleepers.delete(sleeper);
            signal?.removeEventListener("abort", sleeper.wake);
            resolve();
          },
        };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", sleeper.wake, { once: true });
      }),
    advance: async (ms) => {
      const until = elapsed + ms;
      for (let next = earliest(until); next !== undefined; next = earliest(until)) {
        elapsed = Math.max(elapsed, next.at);
        next.wake();
        // What the sleeper does next may be asynchronous: let it run until it sleeps again.
        await new Promise((resolve) => setImmediate(resolve));
      }
      elapsed = until;
    },
  };
}
