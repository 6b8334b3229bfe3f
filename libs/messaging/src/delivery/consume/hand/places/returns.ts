import type { Clock } from "@millrace/runtime";

/** When deliveries that are given back come again. */
export interface Returns {
  /** For which the broker is to keep the next one of the stream. */
  delayMs(stream: string, how?: { firstMs?: number; apartMs?: number }): number;
}

/** Unless told otherwise. Long enough for others to pass, short beside what made it wait. */
const usualFirstMs = 500;
/** One after the other, in the order in which they were given back: they never come as a crowd. */
const usualApartMs = 3;
const longestMs = 30_000;
/** The broker looks through all it keeps whenever one is due: they are due together. */
const stepMs = 100;

export function createReturns({ monotonic }: Pick<Clock, "monotonic">): Returns {
  const lastAt = new Map<string, number>();
  return {
    delayMs: (stream, { firstMs = usualFirstMs, apartMs = usualApartMs } = {}) => {
      const now = monotonic();
      if (!lastAt.has(stream)) {
        for (const [other, at] of lastAt) if (at < now) lastAt.delete(other);
      }
      const wanted = Math.max(now + firstMs, (lastAt.get(stream) ?? 0) + apartMs);
      const at = Math.min(wanted, now + longestMs);
      lastAt.set(stream, at);
      return Math.round(Math.ceil(at / stepMs) * stepMs - now);
    },
  };
}
