import { CodedError } from "@millrace/errors";
import type { KV } from "@nats-io/kv";
import type { JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../../broker/broker.js";
import { buckets } from "../../broker/streams.js";

/*
 * ATTEMPTS: how often the work on a batch was begun, from its second delivery on: KV key
 * <stage>.<JetStream stream>.<seq>-<stored at>, a decimal number. It is written before the work, so that a
 * batch that ends its process is counted too, and taken back when a stop gave the batch away. Most batches
 * are settled by their first delivery and cost nothing here.
 */
export interface Attempts {
  /** Counts this delivery. Resolves with its number, 1 for a first delivery. Errors: `unavailable`. */
  begin(message: JsMsg): Promise<number>;
  /** The work was given up, not failed: it was no attempt. */
  takeBack(message: JsMsg): Promise<void>;
  /** The batch is settled. */
  forget(message: JsMsg): void;
}

/** Writers of one key: a holder that was thought dead, and the one that has the delivery now. */
const racesMax = 5;

export function createAttempts(broker: Broker, stage: string): Attempts {
  let opening: Promise<KV> | undefined;
  const bucket = (): Promise<KV> => {
    opening ??= broker.kv.open(buckets.attempts, { allow_direct: true }).catch((caught: unknown) => {
      opening = undefined;
      throw caught;
    });
    return opening;
  };
  const keyOf = ({ info, seq }: JsMsg): string => `${stage}.${info.stream}.${seq}-${info.timestampNanos}`;
  const isFirst = (message: JsMsg): boolean => message.info.deliveryCount <= 1;

  const change = async (message: JsMsg, by: 1 | -1): Promise<number> => {
    const key = keyOf(message);
    for (let race = 1; ; race++) {
      try {
        const kv = await bucket();
        const found = await kv.get(key);
        const count = Math.max(0, (found?.operation === "PUT" ? Number(found.string()) : 0) + by);
        await kv.put(key, String(count), { previousSeq: found?.revision ?? 0 });
        return count;
      } catch (cause) {
        if (/wrong last/i.test(String(cause)) && race < racesMax) continue;
        throw new CodedError("unavailable", "count attempt: no answer from the broker", { cause });
      }
    }
  };
  return {
    // The first delivery is not written down: what is, are those after it.
    begin: async (message) => (isFirst(message) ? 1 : 1 + (await change(message, 1))),
    takeBack: async (message) => {
      if (!isFirst(message)) await change(message, -1);
    },
    forget: (message) => {
      if (isFirst(message)) return;
      // What is left behind goes with the bucket's age.
      void bucket()
        .then((kv) => kv.delete(keyOf(message)))
        .catch(() => undefined);
    },
  };
}
