import type { LaneToken } from "../broker/subjects.js";
import { createTurnOrder } from "./turn-order.js";

/*
 * Places of work that the lanes of a stage share:
 *
 *     take(lane) ─► waiting in its lane ─► a place is free and it is its turn ─► working ─► done() ─► next
 *
 * After each piece of work the event loop turns once before the next one begins: what keeps a thread busy
 * would else keep out the delivery that ought to go first.
 */

export interface LaneTurns {
  /** Resolves when it is this lane's turn. The answer is called once, when the work is done. */
  take(lane: LaneToken): Promise<() => void>;
}

const lanes: readonly LaneToken[] = ["high", "batch"];

export function createLaneTurns({ places }: { places: number }): LaneTurns {
  const order = createTurnOrder(lanes.length);
  const waiting: Record<LaneToken, (() => void)[]> = { high: [], batch: [] };
  let taken = 0;

  const grant = (): void => {
    while (taken < places) {
      const lane = lanes[order.next(lanes.map((each) => waiting[each].length > 0))];
      const begin = lane === undefined ? undefined : waiting[lane].shift();
      if (begin === undefined) return;
      taken += 1;
      begin();
    }
  };

  const done = (): void => {
    setImmediate(() => {
      taken -= 1;
      grant();
    });
  };

  return {
    take: (lane) =>
      new Promise((resolve) => {
        waiting[lane].push(() => resolve(done));
        // Not at once: of several that come together the right one goes first.
        setImmediate(grant);
      }),
  };
}
