import { assert, CodedError } from "@millrace/errors";
import { type ConsumerInfo, JetStreamApiError, type StreamInfo } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";

/** How far a durable consumer is, as its leader says; batches are messages of its stream. */
export interface ConsumerState {
  /** Not delivered yet. */
  pending: number;
  /** Delivered, and not settled yet. */
  ackPending: number;
  /** Of these, delivered more than once. */
  redelivered: number;
  /** Deliveries ever, repeated ones too. */
  deliveries: number;
  /** Everything up to this number of the stream is settled, or was never this consumer's. */
  floorSeq: number;
  /** Another one: the consumer was made anew, and its numbers began again. */
  createdMs: number;
}

/** What a stream of the bus holds. */
export interface QueueState {
  messages: number;
  bytes: number;
  bytesMax: number;
  lastSeq: number;
  /** How long the oldest message has been stored, by the broker's clock; 0 where there is none. */
  oldestMs: number;
  createdMs: number;
}

const consumerNotFound = 10014;
const streamNotFound = 10059;

/** Errors: `not_found` where there is none, `unavailable` where nobody answers for it. */
export async function inspectConsumer(
  broker: Broker,
  of: { jetStream: string; name: string },
): Promise<ConsumerState> {
  const info: ConsumerInfo = await broker.manager.consumers
    .info(of.jetStream, of.name)
    .catch((caught: unknown) => {
      throw unanswered(`consumer ${of.name} of ${of.jetStream}`, caught);
    });
  return {
    pending: info.num_pending,
    ackPending: info.num_ack_pending,
    redelivered: info.num_redelivered,
    deliveries: info.delivered.consumer_seq,
    floorSeq: info.ack_floor.stream_seq,
    createdMs: Date.parse(info.created),
  };
}

/** Errors: as `inspectConsumer`. */
export async function inspectQueue(broker: Broker, jetStream: string): Promise<QueueState> {
  const info = await streamInfo(broker, jetStream);
  const { state } = info;
  return {
    messages: state.messages,
    bytes: state.bytes,
    bytesMax: info.config.max_bytes,
    lastSeq: state.last_seq,
    oldestMs: state.messages === 0 ? 0 : oldestOf(info),
    createdMs: Date.parse(info.created),
  };
}

/** Never below zero, though another server's clock may have stamped the message. */
function oldestOf({ ts, state }: StreamInfo): number {
  const age = Date.parse(ts ?? "") - Date.parse(state.first_ts);
  assert(Number.isFinite(age), "the broker says when it answered and when its oldest message came");
  return Math.max(0, age);
}

/** How many messages each subject holds, for the subjects that hold any. Errors: as `inspectConsumer`. */
export async function waitingBatches(
  broker: Broker,
  jetStream: string,
): Promise<ReadonlyMap<string, number>> {
  const { state } = await streamInfo(broker, jetStream, ">");
  return new Map(Object.entries(state.subjects ?? {}));
}

function streamInfo(broker: Broker, jetStream: string, filter?: string): Promise<StreamInfo> {
  const options = filter === undefined ? {} : { subjects_filter: filter };
  return broker.manager.streams.info(jetStream, options).catch((caught: unknown) => {
    throw unanswered(`stream ${jetStream}`, caught);
  });
}

function unanswered(what: string, cause: unknown): CodedError {
  if (cause instanceof JetStreamApiError && [consumerNotFound, streamNotFound].includes(cause.code)) {
    return new CodedError("not_found", `${what} is missing`, {
      remedy: "Run the provisioner.",
      cause,
    });
  }
  return new CodedError("unavailable", `${what}: no answer from the broker`, { cause });
}
