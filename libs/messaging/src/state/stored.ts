import { limits } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { DeliverPolicy, JetStreamError, type JsMsg, type StoredMsg } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";

/** A message as a stream holds it. */
export interface Stored {
  seq: number;
  subject: string;
  data: Uint8Array;
  timeMs: number;
}

export interface StoredPage {
  /** In the order in which they were stored. */
  messages: Stored[];
  /** Whether others follow. */
  more: boolean;
}

export interface PageOptions {
  jetStream: string;
  filter: string;
  /** Sequence number behind which the page begins. */
  after: number;
  countMax: number;
  bytesMax: number;
}

/**
 * One page of what a stream that allows direct gets holds under a filter, in one request: the broker finds
 * each next message by its subject, so what others store is not read. Errors: `unavailable`.
 */
export async function readPage(broker: Broker, options: PageOptions): Promise<StoredPage> {
  const { jetStream, filter, after, countMax, bytesMax } = options;
  const found: StoredMsg[] = [];
  await new Promise<void>((resolve, reject) => {
    const asked = { seq: after + 1, next_by_subj: filter, batch: countMax, max_bytes: bytesMax };
    // Without a callback the client keeps the subscription of every page for ever.
    const callback = (done: { err?: Error } | null, message: StoredMsg): void => {
      if (done === null) found.push(message);
      else if (done.err === undefined || isEmpty(done.err)) resolve();
      else reject(done.err);
    };
    broker.manager.direct.getBatch(jetStream, { ...asked, callback }).catch(reject);
  }).catch((cause: unknown) => {
    throw new CodedError("unavailable", `read a page of ${jetStream}: no answer from the broker`, { cause });
  });
  return { messages: found.map(storedOf), more: (found.at(-1)?.pending ?? 0) > 0 };
}

/** Nothing is stored under the filter from there on. */
function isEmpty(error: Error): boolean {
  return error instanceof JetStreamError && "code" in error && error.code === 404;
}

/** The last message of a subject, by direct get, and its number. Errors: `unavailable`. */
export async function readLastStored(
  broker: Broker,
  jetStream: string,
  subject: string,
): Promise<Stored | undefined> {
  try {
    const found = await broker.manager.direct.getMessage(jetStream, { last_by_subj: subject });
    return found === null ? undefined : storedOf(found);
  } catch (cause) {
    throw new CodedError("unavailable", `read ${jetStream}: no answer from the broker`, { cause });
  }
}

/** The message of a number, by direct get; undefined where there is none. Errors: `unavailable`. */
export async function readOneStored(
  broker: Broker,
  jetStream: string,
  seq: number,
): Promise<Stored | undefined> {
  try {
    const found = await broker.manager.direct.getMessage(jetStream, { seq });
    return found === null ? undefined : storedOf(found);
  } catch (cause) {
    throw new CodedError("unavailable", `read ${jetStream}: no answer from the broker`, { cause });
  }
}

/** A message as a consumer reads it: with the seconds that it may live, if they are limited. */
export interface Since extends Stored {
  ttlSeconds: number | undefined;
}

/** Fetched ahead at once: above the largest message, which else would never come. */
const fetchBytes = limits.busBytesMax + 1024 * 1024;
/** What is stored comes at once: after so long without any, a purge took what was counted as pending. */
const silenceMs = 1_000;

/** What a stream holds under a filter and was stored at a time or later, as of now. Errors: `unavailable`. */
export async function* readSince(
  broker: Broker,
  of: { jetStream: string; filter: string; fromMs: number },
): AsyncGenerator<Since> {
  const { jetStream, filter, fromMs } = of;
  const start = { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(fromMs).toISOString() };
  const away = (cause: unknown): never => {
    throw new CodedError("unavailable", `read ${jetStream}: no answer from the broker`, { cause });
  };
  const named = { filter_subjects: filter, ...start };
  const consumer = await broker.js.consumers.get(jetStream, named).catch(away);
  try {
    let pending = (await consumer.info().catch(away)).num_pending;
    while (pending > 0) {
      const fetched = await consumer.fetch({ max_bytes: fetchBytes, expires: silenceMs }).catch(away);
      pending = 0;
      for await (const message of fetched) {
        yield sinceOf(message);
        pending = message.info.pending;
        if (pending === 0) break;
      }
    }
  } finally {
    await consumer.delete().catch(() => false);
  }
}

function sinceOf({ seq, subject, data, headers, info }: JsMsg): Since {
  const ttl = /^(\d+)s$/.exec(headers?.get("Nats-TTL") ?? "")?.[1];
  const timeMs = info.timestampNanos / 1e6;
  return { seq, subject, data, timeMs, ttlSeconds: ttl === undefined ? undefined : Number(ttl) };
}

/** The broker has several words for a number that is not stored. */
const notFound = new Set<unknown>([10037, 10043, 10057]);

/**
 * Removes a message and overwrites its bytes on the disk. A message that is gone was erased by another, or
 * lost its place to a newer one, whose bytes are then the ones to erase. Errors: `unavailable`.
 */
export async function eraseStored(broker: Broker, jetStream: string, seq: number): Promise<boolean> {
  try {
    return await broker.manager.streams.deleteMessage(jetStream, seq, true);
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && notFound.has(cause.code)) return false;
    throw new CodedError("unavailable", `erase from ${jetStream}: no answer from the broker`, { cause });
  }
}

function storedOf({ seq, subject, data, time }: StoredMsg): Stored {
  return { seq, subject, data, timeMs: time.getTime() };
}
