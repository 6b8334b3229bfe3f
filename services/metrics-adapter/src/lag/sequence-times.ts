/*
 * When a stream had which last number, from samples. A batch with a number above `seq` came after the last
 * moment at which `seq` was the highest: so its age is bounded without reading it.
 *
 *   time   0 s  1 s  2 s  3 s          lastAtOrBelow(7) = 2 s: 8 came between 2 s and 3 s
 *   last     5    7    7    9
 */
export interface SequenceTimes {
  record(atMs: number, lastSeq: number): void;
  /** The last moment at which the stream is known not to have been above `seq`; undefined: not known. */
  lastAtOrBelow(seq: number): number | undefined;
}

interface Entry {
  atMs: number;
  seq: number;
}

/** About half an hour of samples a second apart; what is older becomes coarser, never wrong. */
const entriesMax = 2_048;

export function createSequenceTimes(): SequenceTimes {
  let entries: Entry[] = [];
  return {
    record: (atMs, seq) => {
      const last = entries.at(-1);
      // A stream that was made anew counts from the start.
      if (last !== undefined && seq < last.seq) entries = [];
      if (last?.seq === seq) last.atMs = atMs;
      else entries.push({ atMs, seq });
      if (entries.length > entriesMax) {
        // An earlier moment in the place of a later one: a greater age, so still a bound.
        entries = entries.filter((_, at) => at >= entriesMax / 2 || at % 2 === 0);
      }
    },
    lastAtOrBelow: (seq) => {
      let low = 0;
      let high = entries.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if ((entries[middle]?.seq ?? 0) <= seq) low = middle + 1;
        else high = middle;
      }
      return entries[low - 1]?.atMs;
    },
  };
}
