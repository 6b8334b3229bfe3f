/** A clock that stands until it is moved; sleepers wake as it passes their time. */
export interface VirtualClock {
  now(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  moveTo(ms: number): void;
  /** Moves to the next sleeper's time, if that is within a second: what lingers for more. */
  runShort(): void;
  /** Resolves when what was ready to run has run. */
  turn(): Promise<void>;
}

const startMs = Date.UTC(2026, 0, 1);
const shortMs = 1_000;

export function createVirtualClock(): VirtualClock {
  let now = startMs;
  const sleepers = new Set<{ dueMs: number; wake(): void }>();
  const moveTo = (ms: number): void => {
    now = Math.max(now, ms);
    for (const sleeper of sleepers) {
      if (sleeper.dueMs <= now) sleeper.wake();
    }
  };
  return {
    now: () => now,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const wake = (): void => {
          sleepers.delete(sleeper);
          signal?.removeEventListener("abort", wake);
          resolve();
        };
        const sleeper = { dueMs: now + ms, wake };
        sleepers.add(sleeper);
        signal?.addEventListener("abort", wake, { once: true });
      }),
    moveTo,
    runShort: () => {
      const next = Math.min(...[...sleepers].map(({ dueMs }) => dueMs), Infinity);
      if (next <= now + shortMs) moveTo(next);
    },
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  };
}
