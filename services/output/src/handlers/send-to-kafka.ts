import { createIntervalSet, rowPositions } from "@millrace/envelope";
import type { CodedError } from "@millrace/errors";
import { type Handler, type Ledger, noPace, type StreamRegistry } from "@millrace/messaging";
import { freshParts } from "../results/fresh-parts.js";
import type { KafkaSinks } from "../kafka/kafka-sinks.js";

export interface SendToKafkaParts {
  registry: Pick<StreamRegistry, "findFor">;
  ledger: Pick<Ledger, "account" | "settle" | "stored">;
  sinks: Pick<KafkaSinks, "send">;
}

/**
 * Enriched batch in, records in the stream's Kafka topic out. What the brokers have is settled piece by
 * piece, so that a batch that comes again after an error sends only the rest.
 */
export const sendToKafka =
  ({ registry, ledger, sinks }: SendToKafkaParts): Handler =>
  async (enriched, _signal, pace = noPace) => {
    const { header, columns } = enriched;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    if (stream.outputs?.kafka === undefined) return { dropped: "kafka_removed" };
    const { settled } = await ledger.account(header);
    const positions = rowPositions(header, columns);
    const refused = new Map<number, CodedError>();
    // Left open: whoever writes the dead letters settles them.
    const open = createIntervalSet();
    for (const part of freshParts(enriched, settled)) {
      const pieces = sinks.send(part, stream);
      for (;;) {
        // Brokers may be away for as long as they like: that is no fault of the batch.
        const { value, done } = await pace.waits(pieces.next());
        if (done === true) break;
        for (const { position, error } of value.refused) {
          const row = positions.indexOf(position);
          refused.set(row, error);
          open.add({ from: position, to: positions[row + 1] as number });
        }
        const { positionFrom: from, positionTo: to, count } = value.header;
        ledger.settle(header, { intervals: open.missing({ from, to }), done: count - value.refused.length });
      }
    }
    ledger.settle(header, { intervals: open.missing({ from: header.positionFrom, to: header.positionTo }) });
    const failures = [...refused].map(([row, error]) => ({ row, error }));
    return { failures, after: () => ledger.stored() };
  };
