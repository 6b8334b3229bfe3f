import type { JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../../../broker/broker.js";

/*
 * An ack that is lost makes a batch come again, and is recognised then: waiting for an answer to each would
 * be a request for each batch and stage. The broker takes those of a consumer in order, so its answer to the
 * last one tells of all.
 */
export interface Acks {
  give(message: JsMsg): Promise<void>;
  /** Resolves when the broker has all that were given, or does not answer. */
  confirmed(): Promise<void>;
}

const answerMsMax = 5_000;
const ack = "+ACK";

/** `each`: the next step looks at what the broker has, so that each is waited for. */
export function createAcks({ connection }: Pick<Broker, "connection">, { each }: { each: boolean }): Acks {
  let last: JsMsg | undefined;
  return {
    give: async (message) => {
      if (each) {
        await message.ackAck({ timeout: answerMsMax }).catch(() => false);
        return;
      }
      message.ack();
      last = message;
    },
    confirmed: async () => {
      const subject = last === undefined ? "" : replyOf(last);
      last = undefined;
      // Given again, this time with an answer; the client's own call for it answers once a message.
      if (subject !== "")
        await connection.request(subject, ack, { timeout: answerMsMax }).catch(() => undefined);
    },
  };
}

/** The client's messages have it, though their type does not say so. */
function replyOf(message: JsMsg): string {
  return "reply" in message && typeof message.reply === "string" ? message.reply : "";
}
