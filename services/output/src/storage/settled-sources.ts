import { createIntervalSet, type Interval, type IntervalSet } from "@millrace/envelope";
import { present } from "@millrace/errors";
import type { StoredEntry } from "./spool/part.js";

/**
 * What the LEDGER says is settled of a source at this sink, by whichever writer; asked when a source is first
 * seen.
 */
export type LoadSettled = (source: string) => Promise<Iterable<Interval>>;

/**
 * Positions that need no storing any more, by source. Sources come and go (each epoch of a pushing client is
 * one), so those unused for longest are forgotten and asked for again, unless the ledger may not know yet
 * what was stored.
 */
export interface SettledSources {
  of(source: string): Promise<IntervalSet>;
  staged(entry: StoredEntry): void;
  committed(entries: readonly StoredEntry[]): void;
  rolledBack(entries: readonly StoredEntry[]): void;
  /** The ledger knows everything that was committed. */
  ledgerWritten(): void;
}

interface Known {
  settled: IntervalSet;
  /** Entries staged and not committed. */
  staged: number;
  /** Entries were committed since the ledger was written. */
  isAhead: boolean;
}

export function createSettledSources(
  load: LoadSettled,
  { sourcesMax, recovered }: { sourcesMax: number; recovered: readonly StoredEntry[] },
): SettledSources {
  const known = new Map<string, Known>();
  const early = new Map<string, IntervalSet>();
  for (const { source, intervals } of recovered) {
    const set = early.get(source) ?? createIntervalSet();
    set.addAll(intervals);
    early.set(source, set);
  }

  function forgetOldest(): void {
    for (const [source, { staged, isAhead }] of known) {
      if (known.size <= sourcesMax) return;
      if (staged === 0 && !isAhead) known.delete(source);
    }
  }

  return {
    of: async (source) => {
      let entry = known.get(source);
      if (entry === undefined) {
        const settled = createIntervalSet(await load(source));
        settled.addAll(early.get(source)?.intervals() ?? []);
        entry = { settled, staged: 0, isAhead: false };
        known.set(source, entry);
        forgetOldest();
      } else {
        // To the end of the order: used last.
        known.delete(source);
        known.set(source, entry);
      }
      return entry.settled;
    },
    staged: ({ source, intervals }) => {
      const entry = present(known.get(source), "source of a staged entry");
      entry.settled.addAll(intervals);
      entry.staged += 1;
    },
    committed: (entries) => {
      for (const { source } of entries) {
        const entry = known.get(source);
        if (entry === undefined) continue;
        entry.staged -= 1;
        entry.isAhead = true;
      }
    },
    rolledBack: (entries) => {
      for (const { source, intervals } of entries) {
        const entry = known.get(source);
        if (entry === undefined) continue;
        entry.staged -= 1;
        for (const interval of intervals) entry.settled.remove(interval);
      }
    },
    ledgerWritten: () => {
      early.clear();
      for (const entry of known.values()) entry.isAhead = false;
    },
  };
}
