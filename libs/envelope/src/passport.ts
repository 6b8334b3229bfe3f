import type { Hop } from "@millrace/proto/batch";
import type { SendableBatch } from "./open-batch.js";

export interface HopMade {
  stage: string;
  version: string;
  decidedBy: string;
  startedMs: number;
  endedMs: number;
}

/**
 * The batch with one more entry in its passport. Times are milliseconds since the epoch, fractions kept as
 * µs.
 */
export function stamp<B extends SendableBatch>(open: B, made: HopMade): B {
  const hop: Hop = {
    stage: made.stage,
    version: made.version,
    decidedBy: made.decidedBy,
    startedUs: Math.round(made.startedMs * 1000),
    endedUs: Math.round(made.endedMs * 1000),
  };
  return { ...open, passport: [...open.passport, hop] };
}
