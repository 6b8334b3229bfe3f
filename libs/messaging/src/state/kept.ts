import { CodedError } from "@millrace/errors";
import { DeliverPolicy } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import { subjects } from "../broker/subjects.js";
import { messagesHeader } from "../delivery/publisher.js";
import { countStored } from "./tail.js";

interface StreamOf {
  tenant: string;
  stream: string;
}

/** The last message of a subject, by direct get; undefined where there is none. Errors: `unavailable`. */
export async function readLast(
  broker: Broker,
  jetStream: string,
  subject: string,
): Promise<Uint8Array | undefined> {
  try {
    const found = await broker.manager.direct.getMessage(jetStream, { last_by_subj: subject });
    return found?.data;
  } catch (cause) {
    throw new CodedError("unavailable", `read ${jetStream}: no answer from the broker`, { cause });
  }
}

/** Removes what the bus keeps of a deleted stream: results, events, contents, vectors, accounts, reports. */
export async function purgeKept(broker: Broker, { tenant, stream }: StreamOf): Promise<void> {
  const filters: [jetStream: string, filter: string][] = [
    ["RESULT", subjects.result(tenant, stream)],
    ["EVENTS", subjects.event(tenant, stream, "*")],
    ["CONTENT", subjects.contentsOf(tenant, stream)],
    ["CONTENT", subjects.rewritesOf(tenant, stream)],
    ["CONTENT", subjects.artifact(tenant, stream, "*")],
    ["EMBEDDINGS", subjects.embeddingsOf(tenant, stream)],
    [`KV_${buckets.ledger}`, `$KV.${buckets.ledger}.*.${tenant}.${stream}.>`],
    [`KV_${buckets.reports}`, `$KV.${buckets.reports}.${tenant}.${stream}.>`],
    [`KV_${buckets.leases}`, `$KV.${buckets.leases}.source.${tenant}.${stream}.>`],
  ];
  await purgeAll(broker, filters, "Delete the stream again.");
}

/** Removes what the bus keeps of a removed source: reports and its lease. Its positions stay accepted. */
export async function purgeSource(broker: Broker, of: StreamOf & { id: string }): Promise<void> {
  const key = `${of.tenant}.${of.stream}.${of.id}`;
  const filters: [jetStream: string, filter: string][] = [
    [`KV_${buckets.reports}`, `$KV.${buckets.reports}.${key}`],
    [`KV_${buckets.reports}`, `$KV.${buckets.reports}.${key}.>`],
    [`KV_${buckets.leases}`, `$KV.${buckets.leases}.source.${key}`],
  ];
  await purgeAll(broker, filters, "Remove the source again.");
}

async function purgeAll(
  broker: Broker,
  filters: readonly [jetStream: string, filter: string][],
  remedy: string,
): Promise<void> {
  for (const [jetStream, filter] of filters) {
    await broker.manager.streams.purge(jetStream, { filter }).catch((cause: unknown) => {
      throw new CodedError("unavailable", `purge ${jetStream}: no answer from the broker`, {
        remedy,
        cause,
      });
    });
  }
}

/** Which numbers of a stream are stored: those from `first` to `last` that are not in `deleted`. */
export interface StoredNumbers {
  first: number;
  last: number;
  deleted: ReadonlySet<number>;
}

export async function storedNumbers(broker: Broker, jetStream: string): Promise<StoredNumbers> {
  const { state } = await broker.manager.streams
    .info(jetStream, { deleted_details: true })
    .catch((cause: unknown) => {
      throw new CodedError("unavailable", `inspect ${jetStream}: no answer from the broker`, { cause });
    });
  return { first: state.first_seq, last: state.last_seq, deleted: new Set(state.deleted ?? []) };
}

export interface StoredSize {
  seq: number;
  bytes: number;
  /** Inside. */
  messages: number;
  /** When it was stored. */
  timeMs: number;
}

const fetchMax = 1_000;

/** What is stored comes at once: after so long without any, a purge took what was counted as pending. */
const silenceMs = 1_000;

/**
 * Number, size and age of each stored message of a subject, in order; what is in them stays with the
 * broker. Of one that is stored on, if `from` says so, and no more than `countMax`.
 */
export async function storedSizes(
  broker: Broker,
  jetStream: string,
  subject: string,
  { from, countMax = Number.POSITIVE_INFINITY }: { from?: number; countMax?: number } = {},
): Promise<StoredSize[]> {
  const sizes: StoredSize[] = [];
  try {
    const count = await countStored(broker, jetStream, subject);
    if (count === 0) return sizes;
    const consumer = await broker.js.consumers.get(jetStream, {
      filter_subjects: subject,
      headers_only: true,
      ...(from !== undefined && { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from }),
    });
    for (let isMore = true; isMore && sizes.length < countMax; ) {
      const max = Math.min(fetchMax, countMax - sizes.length);
      const messages = await consumer.fetch({ max_messages: max, expires: silenceMs });
      isMore = false;
      for await (const message of messages) {
        const bytes = Number(message.headers?.get("Nats-Msg-Size") ?? 0);
        const inside = Number(message.headers?.get(messagesHeader) || 1);
        const timeMs = Date.parse(message.timestamp);
        sizes.push({ seq: message.seq, bytes, messages: inside, timeMs });
        isMore = message.info.pending > 0;
        if (!isMore) break;
      }
    }
    // Told apart from a broker that is away, which is an error here.
    await countStored(broker, jetStream, subject);
    await consumer.delete().catch(() => false);
    return sizes;
  } catch (cause) {
    throw new CodedError("unavailable", `read sizes of ${jetStream}: no answer from the broker`, { cause });
  }
}
