import type { SampleLine } from "./prometheus-text.js";

/** Durations of the last while, over all pods, from their histograms: only what was added counts. */
export interface HistogramWindow {
  /** Buckets of all pods that there are now; of others nothing is known any more. */
  record(atMs: number, pods: ReadonlyMap<string, readonly SampleLine[]>): void;
  /** 0 where nothing was measured; undefined: unknown, since each pod is seen for the first time. */
  quantile(part: number): number | undefined;
}

interface Snapshot {
  atMs: number;
  /** Cumulative counts by upper bound. */
  buckets: ReadonlyMap<number, number>;
}

export function createHistogramWindow(windowMs: number): HistogramWindow {
  let history = new Map<string, Snapshot[]>();
  return {
    record: (atMs, pods) => {
      const next = new Map<string, Snapshot[]>();
      for (const [pod, lines] of pods) {
        const buckets = new Map(lines.map(({ labels, value }) => [boundOf(labels["le"] ?? ""), value]));
        const before = history.get(pod) ?? [];
        // A pod that began anew under its address counts from nothing.
        const kept = isRestart(before.at(-1)?.buckets, buckets) ? [] : before;
        next.set(pod, [...since(kept, atMs - windowMs), { atMs, buckets }]);
      }
      history = next;
    },
    quantile: (part) => {
      const known = [...history.values()].filter((snapshots) => snapshots.length > 1);
      if (known.length === 0) return undefined;
      const sums = new Map<number, number>();
      for (const snapshots of known) {
        const first = snapshots[0]?.buckets;
        for (const [bound, count] of snapshots.at(-1)?.buckets ?? [])
          sums.set(bound, (sums.get(bound) ?? 0) + count - (first?.get(bound) ?? 0));
      }
      return interpolate(sums, part);
    },
  };
}

const boundOf = (text: string): number => (text === "+Inf" ? Infinity : Number(text));

/** Those of the window, and the last one before it, from which the window is counted. */
function since(snapshots: readonly Snapshot[], fromMs: number): Snapshot[] {
  const before = snapshots.findLastIndex(({ atMs }) => atMs <= fromMs);
  return snapshots.slice(Math.max(0, before));
}

function isRestart(
  before: ReadonlyMap<number, number> | undefined,
  after: ReadonlyMap<number, number>,
): boolean {
  return before !== undefined && [...before].some(([bound, count]) => (after.get(bound) ?? 0) < count);
}

/** As Prometheus does it: evenly within the bucket; what is above the last bound is told as that bound. */
function interpolate(cumulative: ReadonlyMap<number, number>, part: number): number {
  const buckets = [...cumulative].sort(([one], [other]) => one - other);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (total === 0) return 0;
  const rank = part * total;
  let low = 0;
  let below = 0;
  for (const [bound, count] of buckets) {
    if (count >= rank) {
      if (bound === Infinity) return low;
      return low + ((bound - low) * (rank - below)) / Math.max(1, count - below);
    }
    low = bound;
    below = count;
  }
  return low;
}
