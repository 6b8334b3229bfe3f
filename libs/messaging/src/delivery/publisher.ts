import { CodedError } from "@millrace/errors";
import { limits } from "@millrace/envelope";
import { JetStreamApiError } from "@nats-io/jetstream";
import { InvalidArgumentError, PermissionViolationError } from "@nats-io/transport-node";
import type { Broker } from "../broker/broker.js";
import { inActiveSpan, tracedHeaders } from "./trace-context.js";

export interface Outgoing {
  subject: string;
  data: Uint8Array;
  /** Deterministic, so that a repeat within the window is recognised; see libs/envelope ids. */
  id: string;
  /** Messages inside: for spans, metrics and whoever looks at the headers alone. */
  messageCount?: number;
  /** Removes the message after this long; only where the stream allows it. */
  ttlSeconds?: number;
  /** Compare-and-set: the last sequence number of the subject. */
  expectLastSeq?: number;
  /** Where the subject has a message, that one stays, and this is a duplicate. */
  keepsFirst?: boolean;
}

export interface Published {
  jetStream: string;
  seq: number;
  duplicate: boolean;
}

export interface Publisher {
  /**
   * Resolves when the broker has stored it. Errors: `resource_exhausted` (full), `unavailable` (outcome
   * unknown).
   */
  publish(message: Outgoing): Promise<Published>;
  /** A message may have so much, headers and all: less where a broker that was brought along is set so. */
  bytesMax(): number;
}

/** Three tries of 5 s with the same id: an unknown outcome is asked again, and a repeat is recognised. */
const tries = 3;
const tryTimeoutMs = 5_000;

/** Errors of the broker that mean "full": our own limit, by bytes, messages, or store. */
const full = new Set([10077, 10047, 10023, 10068]);
const wrongLastSeq = new Set([10071, 10164]);
const tooLarge = 10054;
/** Words of the client when a message is above the server's `max_payload`: it never leaves the process. */
const overPayload = /max_payload/;

const alreadyThere: Published = { jetStream: "", seq: 0, duplicate: true };

export const messagesHeader = "Millrace-Messages";

export function createPublisher(broker: Broker): Publisher {
  const attempt = async (message: Outgoing): Promise<Published> => {
    const headers = tracedHeaders();
    if (message.ttlSeconds !== undefined) headers.set("Nats-TTL", `${message.ttlSeconds}s`);
    if (message.messageCount !== undefined) headers.set(messagesHeader, String(message.messageCount));
    const expectLastSeq = message.keepsFirst === true ? 0 : message.expectLastSeq;
    const ack = await broker.js.publish(message.subject, message.data, {
      msgID: message.id,
      headers,
      timeout: tryTimeoutMs,
      ...(expectLastSeq === undefined ? {} : { expect: { lastSubjectSequence: expectLastSeq } }),
    });
    return { jetStream: ack.stream, seq: ack.seq, duplicate: ack.duplicate };
  };
  const publish = async (message: Outgoing): Promise<Published> => {
    for (let tried = 1; ; tried++) {
      try {
        return await attempt(message);
      } catch (caught) {
        const error = publishError(caught, message.subject);
        if (error.code === "aborted" && message.keepsFirst === true) return alreadyThere;
        if (error.code !== "unavailable" || tried >= tries) throw error;
        broker.log.warn("publish outcome unknown, trying again", { tried, error: String(error.cause) });
      }
    }
  };
  return {
    bytesMax: () => Math.min(limits.busBytesMax, broker.connection.info?.max_payload ?? limits.busBytesMax),
    publish: (message) => {
      const destination = message.subject.split(".", 1)[0] ?? "";
      const { messageCount } = message;
      const named = {
        operation: "send" as const,
        destination,
        ...(messageCount === undefined ? {} : { messageCount }),
      };
      return inActiveSpan(named, () => publish(message));
    },
  };
}

function publishError(caught: unknown, subject: string): CodedError {
  const noun = subject.split(".", 1)[0] ?? "";
  const attempted = `publish to ${noun}`;
  if (caught instanceof JetStreamApiError) {
    if (full.has(caught.code)) {
      return new CodedError("resource_exhausted", `${attempted}: the stream is full`, {
        subject: `bus:${noun}`,
        retryAfterMs: 1_000,
        remedy: "Wait until consumers catch up.",
        cause: caught,
      });
    }
    if (wrongLastSeq.has(caught.code))
      return new CodedError("aborted", `${attempted}: written by another`, { cause: caught });
    if (caught.code === tooLarge)
      return new CodedError("data_loss", `${attempted}: too large`, { cause: caught });
  }
  if (caught instanceof InvalidArgumentError && overPayload.test(caught.message)) {
    return new CodedError("data_loss", `${attempted}: too large`, { cause: caught });
  }
  const refusal = caught instanceof Error ? (caught.cause ?? caught) : caught;
  if (refusal instanceof PermissionViolationError) {
    return new CodedError("permission_denied", `${attempted}: not allowed for this user`, { cause: caught });
  }
  return new CodedError("unavailable", `${attempted}: no answer from the broker`, {
    retryAfterMs: 500,
    cause: caught,
  });
}
