import type { Reading, Stretch } from "./consumer-track.js";

export interface StageLag {
  lagBatches: number;
  lagSeconds: number;
  oldestAgeSeconds: number;
}

/**
 * What the consumers of a stage make together. The rate is that of the time in which the stage had something
 * to do: one that is mostly idle is not slow. Where none is known, or nothing was settled, the age stands in.
 */
export function stageLag(readings: readonly Reading[]): StageLag {
  const lagBatches = readings.reduce((sum, reading) => sum + reading.lagBatches, 0);
  const oldestAgeSeconds = Math.max(0, ...readings.map(({ oldestAgeMs }) => oldestAgeMs)) / 1000;
  const perSecond = rateOf(readings.flatMap(({ stretches }) => stretches));
  const seconds = perSecond === 0 ? oldestAgeSeconds : lagBatches / perSecond;
  return { lagBatches, lagSeconds: lagBatches === 0 ? 0 : seconds, oldestAgeSeconds };
}

/** Batches a second; 0: none, or no work yet. Consumers are sampled together, so their stretches match. */
function rateOf(stretches: readonly Stretch[]): number {
  const together = new Map<number, { ms: number; settled: number; isBusy: boolean }>();
  for (const { fromMs, toMs, settled, isBusy } of stretches) {
    const known = together.get(toMs) ?? { ms: 0, settled: 0, isBusy: false };
    together.set(toMs, {
      ms: Math.max(known.ms, toMs - fromMs),
      settled: known.settled + settled,
      isBusy: known.isBusy || isBusy,
    });
  }
  let ms = 0;
  let settled = 0;
  for (const one of together.values()) {
    if (!one.isBusy) continue;
    ms += one.ms;
    settled += one.settled;
  }
  return ms === 0 ? 0 : (settled * 1000) / ms;
}
