import type { LiveBytes, StreamId } from "./live-bytes.js";

/*
 * Clears what the LEDGER never settles: a batch that was dropped with a deleted output, a letter that could
 * not be decoded. The bus is the judge, and what it holds is followed downstream:
 *
 *   taken before the mark ──► all of it is in RAW up to the last number there, or past RAW
 *   RAW holds none of the stream, or nothing up to that number ──► all of it is past RAW: the same with
 *   CLEAN, up to its last number by now ──► … ──► past the last place: nobody has it any more
 *
 * A stage publishes before it settles, so a batch is never in neither of two neighbours.
 */
export interface StaleRangesOptions {
  live: LiveBytes;
  /** Where batches of a stream may lie, in the order in which they pass. */
  placesOf(of: StreamId): readonly Place[];
  inspect(place: Place): Promise<{ count: number; first: number; last: number }>;
}

export interface Place {
  jetStream: string;
  filter: string;
}

interface Wave {
  of: StreamId;
  mark: number;
  step: number;
  /** Last number of the place when the one before it was passed. */
  limit: number | undefined;
}

/** One round of questions, of streams that hold something since the round before last. */
export function createStaleRanges(options: StaleRangesOptions): () => Promise<void> {
  const { live } = options;
  const waves = new Map<string, Wave>();
  let lastMark = 0;
  let markBefore = 0;

  const advance = async (wave: Wave): Promise<boolean> => {
    const places = options.placesOf(wave.of);
    for (let place = places[wave.step]; place !== undefined; place = places[wave.step]) {
      const { count, first, last } = await options.inspect(place);
      wave.limit ??= last;
      if (count > 0 && first <= wave.limit) return false;
      wave.step += 1;
      wave.limit = undefined;
    }
    return true;
  };

  return async () => {
    for (const of of live.streams()) {
      const key = `${of.tenant}/${of.stream}`;
      if (!waves.has(key) && live.hasUpTo(of, markBefore))
        waves.set(key, { of, mark: markBefore, step: 0, limit: undefined });
    }
    markBefore = lastMark;
    lastMark = live.mark();
    for (const [key, wave] of waves) {
      // Settled in the ordinary way meanwhile, or deleted.
      const isOver = !live.hasUpTo(wave.of, wave.mark);
      if (!isOver && !(await advance(wave))) continue;
      waves.delete(key);
      live.removeUpTo(wave.of, wave.mark);
    }
  };
}
