import type { StoredNumbers } from "@millrace/messaging";
import type { Place } from "./resume-token.js";

/**
 * How many result messages may be gone between a place and the next one that is there. The bus numbers the
 * results of all streams together and keeps no subject of what it discarded, so two things are exact, and one
 * is a bound:
 *
 * - the place's own message is still stored: nothing is gone, since a stream's results are discarded oldest
 *   first;
 * - no number in between is gone: nothing is gone;
 * - else the numbers that are gone are counted, those of other streams with them: no more than these.
 */
export function missingBatches(place: Place, next: number, stored: StoredNumbers): number {
  const isStored = (seq: number): boolean =>
    seq >= stored.first && seq <= stored.last && !stored.deleted.has(seq);
  if (place.index !== "gap" && isStored(place.seq)) return 0;
  const from = typeof place.index === "number" ? place.seq : place.seq + 1;
  // All below the first stored number is gone.
  let missing = Math.max(0, Math.min(stored.first, next) - from);
  for (const seq of stored.deleted) if (seq >= from && seq < next && seq >= stored.first) missing++;
  return missing;
}
