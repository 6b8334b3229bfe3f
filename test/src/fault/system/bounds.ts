import { availableParallelism, loadavg } from "node:os";
import type { HeldBounds } from "@millrace/testkit";

/** I7: the bar for a service's own memory; connections and parts being rolled come and go. */
export const heldBound: HeldBounds = { rssAnonBytesMax: 300e6, filesMoreMax: 12 };

/** Our own processes that want a processor at once while a test runs. */
const ownPerProcessor = 3;

/** Bounds of time are those of a machine that does nothing else; where others work too, all takes longer. */
export function whenBusy(ms: number): number {
  const [lastMinute = 0] = loadavg();
  return Math.round(ms * Math.max(1, lastMinute / availableParallelism() / ownPerProcessor));
}
