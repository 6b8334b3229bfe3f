import { randomUUID } from "node:crypto";
import { CodedError } from "@millrace/errors";
import type { KV } from "@nats-io/kv";
import type { JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../../../broker/broker.js";
import { buckets } from "../../../broker/streams.js";

/*
 * ATTEMPTS: what is known of a batch that its first delivery did not settle. KV key
 * <stage>.<JetStream stream>.<seq>-<stored at>, value three decimal numbers and who wrote them:
 *
 *   <begun> <failed> <ended> <mark>
 *
 * begun    works begun, the first delivery's left out: it is implied by the next one, so most batches are
 *          settled without an entry. Written before the work, so that one that ends its process counts.
 *          Given back unworked, the first one counts -1. From the third on a batch is tried in a child.
 * failed   errors of the data.
 * ended    works begun on it alone, after a trial, of which nobody saw the end.
 * mark     of the write: a begin whose answer was lost is tried again, and counts once.
 *
 * A process is ended by others too, as often as they like: `begun` makes a batch suspect, and no more.
 */
export interface Attempts {
  /** Counts that its work begins. Errors of all: `unavailable`. */
  begin(message: JsMsg): Promise<Tally>;
  /** It was given away unworked, or its work was given up by a stop: it was no attempt. */
  takeBack(message: JsMsg, isBegun: boolean): Promise<void>;
  /** Counts an error of the data. Resolves with how many there were. */
  fail(message: JsMsg): Promise<number>;
  /** The work on it alone begins. */
  enter(message: JsMsg): Promise<void>;
  /** And ends, whatever came of it. */
  leave(message: JsMsg): Promise<void>;
  /** The batch is settled. */
  forget(message: JsMsg): void;
}

export interface Tally {
  /** Which work on it this is, without those that were taken back. */
  attempt: number;
  /** Processes that ended while they worked on it alone. */
  ended: number;
}

interface Counts {
  begun: number;
  failed: number;
  ended: number;
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
  /** Marks of begins that were sent and not answered. */
  const unanswered = new WeakMap<JsMsg, string>();
  const keyOf = ({ info, seq }: JsMsg): string => `${stage}.${info.stream}.${seq}-${info.timestampNanos}`;
  const isFirst = (message: JsMsg): boolean => message.info.deliveryCount <= 1;

  const change = async (
    message: JsMsg,
    by: Partial<Counts>,
    mark: string = randomUUID(),
  ): Promise<Counts> => {
    const key = keyOf(message);
    for (let race = 1; ; race++) {
      try {
        const kv = await bucket();
        const found = await kv.get(key);
        const value = found?.operation === "PUT" ? found.string() : "";
        const before = countsOf(value);
        // An earlier try got through, although nobody heard of it.
        if (value.endsWith(mark)) return before;
        const counts = {
          begun: before.begun + (by.begun ?? 0),
          failed: before.failed + (by.failed ?? 0),
          ended: Math.max(0, before.ended + (by.ended ?? 0)),
        };
        const written = `${counts.begun} ${counts.failed} ${counts.ended} ${mark}`;
        await kv.put(key, written, { previousSeq: found?.revision ?? 0 });
        return counts;
      } catch (cause) {
        if (/wrong last/i.test(String(cause)) && race < racesMax) continue;
        throw new CodedError("unavailable", "count attempt: no answer from the broker", { cause });
      }
    }
  };
  return {
    begin: async (message) => {
      if (isFirst(message)) return { attempt: 1, ended: 0 };
      const mark = unanswered.get(message) ?? randomUUID();
      unanswered.set(message, mark);
      const { begun, ended } = await change(message, { begun: 1 }, mark);
      unanswered.delete(message);
      return { attempt: Math.max(1, 1 + begun), ended };
    },
    takeBack: async (message, isBegun) => {
      if (isBegun || isFirst(message)) await change(message, { begun: -1 });
    },
    fail: async (message) => (await change(message, { failed: 1 })).failed,
    enter: async (message) => void (await change(message, { ended: 1 })),
    leave: async (message) => void (await change(message, { ended: -1 })),
    forget: (message) => {
      if (isFirst(message)) return;
      // What is left behind goes with the bucket's age.
      void bucket()
        .then((kv) => kv.delete(keyOf(message)))
        .catch(() => undefined);
    },
  };
}

/** An earlier build wrote the first number only. */
function countsOf(value: string): Counts {
  const [begun = 0, failed = 0, ended = 0] = value.split(" ").map(Number);
  return { begun, failed, ended };
}
