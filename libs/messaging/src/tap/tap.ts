import type { Broker } from "../broker/broker.js";

/** Places past the filter where messages can be looked at. */
export const tapStages = ["privacy", "inference", "results"] as const;
export type TapStage = (typeof tapStages)[number];

/** What may be of a stage; batches of `ENRICHED` come from privacy where there is nothing to infer. */
const filters: Record<TapStage, (tail: string) => string[]> = {
  privacy: (tail) => [`clean.*.*.${tail}`, `enriched.*.*.*.*.*.*.${tail}`],
  inference: (tail) => [`enriched.*.*.*.*.*.*.${tail}`],
  results: (tail) => [`result.${tail}`],
};

/**
 * Hears each batch that is published at a stage, from when it resolves until it is stopped. Nothing is kept,
 * and nobody waits for the hearer.
 */
export async function tapBatches(
  broker: Broker,
  { tenant, stream, stage }: { tenant: string; stream: string; stage: TapStage },
  onBatch: (data: Uint8Array) => void,
): Promise<() => void> {
  const subscriptions = filters[stage](`${tenant}.${stream}`).map((subject) =>
    broker.connection.subscribe(subject, {
      callback: (error, message) => {
        if (error === null) onBatch(message.data);
      },
    }),
  );
  await broker.connection.flush();
  return () => {
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}
