import { Entry } from "@millrace/proto/ledger";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { storedKeys } from "./tail.js";

/** Reads every entry of a stream, by stage and source: for conservation and status. */
export async function readLedger(
  broker: Broker,
  of: { tenant: string; stream: string },
): Promise<LedgerLine[]> {
  const bucket = await broker.kv.open(buckets.ledger, { allow_direct: true });
  const keys = await storedKeys(broker, buckets.ledger, `*.${of.tenant}.${of.stream}.*`);
  const lines: LedgerLine[] = [];
  for (const key of keys) {
    const found = await bucket.get(key);
    if (found === null || found.operation !== "PUT") continue;
    const [stage = "", , , source = ""] = key.split(".");
    lines.push({ stage, source, entry: Entry.decode(found.value) });
  }
  return lines;
}

export interface LedgerLine {
  stage: string;
  source: string;
  entry: Entry;
}
