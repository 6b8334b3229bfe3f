import type { KafkaRecord, Trigger } from "@millrace/proto/trigger";
import type { KafkaProducers } from "../kafka/kafka-producers.js";
import type { ActionCall, ActionOutcome } from "./action.js";
import { cloudEventHeaders, renderEvent } from "./render-event.js";

/** A trigger's own producer: it ends with the trigger. */
export const producerKey = (tenant: string, { stream, id }: Pick<Trigger, "stream" | "id">): string =>
  `${tenant}/${stream}/${id}`;

/** The event in a Kafka topic, once all replicas in sync have it. */
export async function sendRecord(
  producers: Pick<KafkaProducers, "use">,
  { connection, topic }: KafkaRecord,
  { tenant, trigger, event, deliveryId, signal }: ActionCall,
): Promise<ActionOutcome> {
  const headers = Object.entries(cloudEventHeaders(event, deliveryId, "ce_")).map(
    ([name, text]): [string, Buffer] => [name, Buffer.from(text)],
  );
  const record = {
    // Events of a stream go to one partition.
    key: Buffer.from(event.stream),
    value: Buffer.from(renderEvent(event)),
    headers: Object.fromEntries(headers),
    timestampMs: event.timeMs,
  };
  const sent = producers.use(
    producerKey(tenant, trigger),
    { connection, compression: "none" },
    async (producer): Promise<ActionOutcome> => {
      await producer.send(topic, [record]);
      return { kind: "done" };
    },
  );
  return untilStopped(sent, signal);
}

/** The brokers may take longer than a process has to end; the event comes again then. */
function untilStopped(sent: Promise<ActionOutcome>, signal: AbortSignal): Promise<ActionOutcome> {
  return new Promise((resolve, reject) => {
    const stop = (): void => resolve({ kind: "failed", reason: "output was stopping" });
    signal.addEventListener("abort", stop, { once: true });
    sent.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    if (signal.aborted) stop();
  });
}
