/**
 * Who goes next where lanes compete for the same place: the first lane that waits; but a lane that was passed
 * over `passesMax` times while it waited goes first once. So a later lane is never starved, and an earlier
 * one gives up at most every ninth turn to each lane behind it.
 *
 *     waiting:  h h h h h h h h b h h …      high never waits for more than one of batch
 */
export interface TurnOrder {
  /** The lane that goes, by what waits in each; -1 where nothing does. */
  next(waits: readonly boolean[]): number;
}

const passesMax = 8;

export function createTurnOrder(lanes: number): TurnOrder {
  const passes = Array.from({ length: lanes }, () => 0);
  return {
    next: (waits) => {
      const first = waits.indexOf(true);
      const aged = passes.findIndex((count, lane) => waits[lane] === true && count >= passesMax);
      const chosen = aged === -1 ? first : aged;
      for (let lane = 0; lane < lanes; lane++) {
        const isPassed = waits[lane] === true && lane > chosen;
        if (isPassed) passes[lane] = (passes[lane] ?? 0) + 1;
        // One that is served, or has nothing to wait with, begins anew.
        else if (lane === chosen || waits[lane] !== true) passes[lane] = 0;
      }
      return chosen;
    },
  };
}
