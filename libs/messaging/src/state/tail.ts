import { CodedError } from "@millrace/errors";
import { DeliverPolicy, type JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";

export interface TailOptions {
  jetStream: string;
  filter: string;
  /** First sequence number wanted; `new` for what comes from now on; 1 for all. */
  from: number | "new" | "last_per_subject";
  /** Messages fetched ahead of the reader. Default 256. */
  aheadMax?: number;
  /** … or their bytes, where each may be as large as `limits.busBytesMax`; at least that. */
  aheadBytesMax?: number;
  signal: AbortSignal;
}

export interface Tailed {
  seq: number;
  subject: string;
  data: Uint8Array;
  /** Messages of this reader still to come, as the broker knew when it sent this one. */
  pending: number;
}

/**
 * Reads a stream in order from a place on, for ever, through disconnects. Ends when the signal is aborted.
 */
export async function* tailStream(broker: Broker, options: TailOptions): AsyncGenerator<Tailed> {
  const { signal } = options;
  if (signal.aborted) return;
  const start =
    options.from === "new"
      ? { deliver_policy: DeliverPolicy.New }
      : options.from === "last_per_subject"
        ? { deliver_policy: DeliverPolicy.LastPerSubject }
        : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, options.from) };
  const consumer = await broker.js.consumers
    .get(options.jetStream, { filter_subjects: options.filter, ...start })
    .catch((cause: unknown) => {
      throw new CodedError("unavailable", `read ${options.jetStream}: no answer from the broker`, { cause });
    });
  const messages = await consumer.consume(
    options.aheadBytesMax === undefined
      ? { max_messages: options.aheadMax ?? 256 }
      : { max_bytes: options.aheadBytesMax },
  );
  const stop = (): void => messages.stop();
  signal.addEventListener("abort", stop, { once: true });
  // It may have been aborted while the broker was asked; then nobody would ever call `stop`.
  if (signal.aborted) stop();
  try {
    for await (const message of messages) {
      if (signal.aborted) return;
      yield tailed(message);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    messages.stop();
    await consumer.delete().catch(() => false);
  }
}

function tailed(message: JsMsg): Tailed {
  return { seq: message.seq, subject: message.subject, data: message.data, pending: message.info.pending };
}

/** First and last sequence number that a stream holds. */
export async function streamBounds(
  broker: Broker,
  jetStream: string,
): Promise<{ first: number; last: number }> {
  const { state } = await broker.manager.streams.info(jetStream);
  return { first: state.first_seq, last: state.last_seq };
}

/** Stored messages whose subject matches, counted by the broker. */
export async function countStored(broker: Broker, jetStream: string, filter: string): Promise<number> {
  const { state } = await broker.manager.streams.info(jetStream, { subjects_filter: filter });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

/**
 * Keys of a bucket that match, those of deleted entries too. Asked in one request: a reader of keys that is
 * overtaken by a purge waits for what is gone.
 */
export async function storedKeys(broker: Broker, bucket: string, filter: string): Promise<string[]> {
  const prefix = `$KV.${bucket}.`;
  const { state } = await broker.manager.streams
    .info(`KV_${bucket}`, { subjects_filter: `${prefix}${filter}` })
    .catch((cause: unknown) => {
      throw new CodedError("unavailable", `read keys of ${bucket}: no answer from the broker`, { cause });
    });
  return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(prefix.length));
}

/** What a stream stores under a filter, and the numbers that it has as a whole. */
export interface StoredState {
  /** Under the filter. */
  count: number;
  /** Of the whole stream; `first` is above `last` where it is empty. */
  first: number;
  last: number;
  /** What it may hold. */
  bytesMax: number;
}

/** Errors: `unavailable`. */
export async function inspectStored(broker: Broker, jetStream: string, filter: string): Promise<StoredState> {
  const { state, config } = await broker.manager.streams
    .info(jetStream, { subjects_filter: filter })
    .catch((cause: unknown) => {
      throw new CodedError("unavailable", `inspect ${jetStream}: no answer from the broker`, { cause });
    });
  const count = Object.values(state.subjects ?? {}).reduce((sum, each) => sum + each, 0);
  return { count, first: state.first_seq, last: state.last_seq, bytesMax: config.max_bytes };
}

/** Whether a message with this sequence number or a later one is stored under the filter. */
export async function hasStoredFrom(
  broker: Broker,
  of: { jetStream: string; filter: string; seq: number },
): Promise<boolean> {
  return (
    (await broker.manager.direct.getMessage(of.jetStream, { seq: of.seq, next_by_subj: of.filter })) !== null
  );
}

/**
 * The number of the first stored message under the filter that is not below this one. The leader is asked:
 * it knows the latest. Errors: `unavailable`.
 */
export async function firstStoredFrom(
  broker: Broker,
  of: { jetStream: string; filter: string; seq: number },
): Promise<number | undefined> {
  const query = { seq: Math.max(1, of.seq), next_by_subj: of.filter };
  try {
    return (await broker.manager.streams.getMessage(of.jetStream, query))?.seq;
  } catch (cause) {
    throw new CodedError("unavailable", `read ${of.jetStream}: no answer from the broker`, { cause });
  }
}
