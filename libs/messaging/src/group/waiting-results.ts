import type { Broker } from "../broker/broker.js";
import { subjects } from "../broker/subjects.js";
import { storedSizes } from "../state/kept.js";
import { firstStoredFrom } from "../state/tail.js";

/** A stream's results from a number on. */
export interface WaitingResults {
  /** On average of the first of them. */
  messagesPerBatch: number;
  /** When the first one was stored. */
  oldestMs: number;
}

const looksAtMax = 2_000;

/** By the headers of the first 2,000; undefined where there are none. Errors: `unavailable`. */
export async function waitingResults(
  broker: Broker,
  { tenant, stream }: { tenant: string; stream: string },
  from: number,
): Promise<WaitingResults | undefined> {
  const filter = subjects.result(tenant, stream);
  const first = await firstStoredFrom(broker, { jetStream: "RESULT", filter, seq: from });
  if (first === undefined) return undefined;
  const sizes = await storedSizes(broker, "RESULT", filter, { from: first, countMax: looksAtMax });
  const [oldest] = sizes;
  if (oldest === undefined) return undefined;
  const messages = sizes.reduce((sum, { messages: inside }) => sum + inside, 0);
  return { messagesPerBatch: messages / sizes.length, oldestMs: oldest.timeMs };
}
