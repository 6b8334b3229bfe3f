/** Wall clock and monotonic clock in milliseconds, and sleeping: injected wherever time matters. */
export interface Clock {
  now(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done, { once: true });
    }),
};

export type Random = () => number;

export const systemRandom: Random = Math.random;

/** Exponential backoff with full jitter between half and all of it. Attempt counts from 0. */
export function backoffMs(
  attempt: number,
  random: Random,
  bounds: { firstMs: number; maxMs: number },
): number {
  const full = Math.min(bounds.maxMs, bounds.firstMs * 2 ** Math.min(attempt, 20));
  return full / 2 + (random() * full) / 2;
}
