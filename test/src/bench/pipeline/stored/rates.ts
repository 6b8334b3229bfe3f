/** How many messages were stored at a moment, by performance.now(). */
export interface StoredSample {
  ms: number;
  stored: number;
}

/**
 * Messages a second in the slowest stretch of so many ms or a little more; of all where they are fewer. A
 * mean hides a stall.
 */
export function slowestRate(samples: readonly StoredSample[], windowMs: number): number {
  let slowest = Number.POSITIVE_INFINITY;
  let to = 0;
  for (const from of samples) {
    while (to < samples.length && (samples[to]?.ms ?? 0) - from.ms < windowMs) to++;
    const end = samples[to];
    if (end === undefined) break;
    slowest = Math.min(slowest, ((end.stored - from.stored) / (end.ms - from.ms)) * 1000);
  }
  return Number.isFinite(slowest) ? slowest : meanRate(samples);
}

function meanRate(samples: readonly StoredSample[]): number {
  const [first] = samples;
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.ms <= first.ms) return 0;
  return ((last.stored - first.stored) / (last.ms - first.ms)) * 1000;
}
