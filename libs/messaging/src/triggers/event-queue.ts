import { CodedError } from "@millrace/errors";
import { AckPolicy, type Consumer, DeliverPolicy, JetStreamApiError, type JsMsg } from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";
import { ackWaitMs } from "../broker/streams.js";

/** One event in hand. Kept alive for `ackWaitMs` by each `working`; settled by `ack` or `later`. */
export interface EventDelivery {
  subject: string;
  data: Uint8Array;
  /** Of EVENTS. */
  seq: number;
  /** 1 for the first. */
  attempt: number;
  working(): void;
  /** Errors: `unavailable`; it comes again then. */
  ack(): Promise<void>;
  later(delayMs: number): void;
}

/** A durable consumer of EVENTS, which replicas share. */
export interface EventQueue {
  /** Up to `max`, as soon as there is any; none after a while, or when the signal fires. */
  take(max: number, signal: AbortSignal): AsyncIterable<EventDelivery>;
}

export interface EventQueueOptions {
  name: string;
  /** Subjects. */
  filters: readonly string[];
  /** Events from this time on; of a consumer that is there, what it did not settle. */
  sinceMs: number;
}

/** Unsettled at most, those that wait to be tried again included: beyond, no others are handed out. */
const ackPendingMax = 1_000;
/** Nobody asked for so long: its service is gone for good, and EVENTS holds nothing of that time any more. */
const inactiveMs = 14 * 24 * 3_600_000;
const takeMs = 5_000;

/** Makes the consumer, or brings the one that is there to these filters. Errors: `unavailable`. */
export async function openEventQueue(broker: Broker, options: EventQueueOptions): Promise<EventQueue> {
  const { name, filters, sinceMs } = options;
  const config = {
    durable_name: name,
    filter_subjects: [...filters],
    ack_policy: AckPolicy.Explicit,
    ack_wait: ackWaitMs * 1e6,
    max_deliver: -1,
    max_ack_pending: ackPendingMax,
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(sinceMs).toISOString(),
    inactive_threshold: inactiveMs * 1e6,
  };
  try {
    const there = await find(broker, name);
    if (there === undefined) await broker.manager.consumers.add("EVENTS", config);
    else if (there.join() !== [...filters].join()) {
      await broker.manager.consumers.update("EVENTS", name, { filter_subjects: [...filters] });
    }
    const consumer = await broker.js.consumers.get("EVENTS", name);
    return { take: (max, signal) => take(consumer, max, signal) };
  } catch (cause) {
    throw new CodedError("unavailable", "open consumer of EVENTS: no answer from the broker", { cause });
  }
}

/** What it holds is left out. */
export async function removeEventQueue(broker: Broker, name: string): Promise<void> {
  await broker.manager.consumers.delete("EVENTS", name).catch((cause: unknown) => {
    if (isMissing(cause)) return;
    throw new CodedError("unavailable", "remove consumer of EVENTS: no answer from the broker", { cause });
  });
}

/** Events that it has not settled; none where nobody made it yet. */
export async function countUnsettled(broker: Broker, name: string): Promise<number> {
  try {
    const { num_pending, num_ack_pending } = await broker.manager.consumers.info("EVENTS", name);
    return num_pending + num_ack_pending;
  } catch (cause) {
    if (isMissing(cause)) return 0;
    throw new CodedError("unavailable", "inspect consumer of EVENTS: no answer from the broker", { cause });
  }
}

async function find(broker: Broker, name: string): Promise<string[] | undefined> {
  try {
    const { config } = await broker.manager.consumers.info("EVENTS", name);
    return config.filter_subjects ?? [config.filter_subject ?? ""];
  } catch (caught) {
    if (isMissing(caught)) return undefined;
    throw caught;
  }
}

const consumerNotFound = 10014;

const isMissing = (caught: unknown): boolean =>
  caught instanceof JetStreamApiError && caught.code === consumerNotFound;

async function* take(consumer: Consumer, max: number, signal: AbortSignal): AsyncGenerator<EventDelivery> {
  if (signal.aborted) return;
  const pull = await consumer.fetch({ max_messages: max, expires: takeMs });
  const stop = (): void => pull.stop();
  signal.addEventListener("abort", stop, { once: true });
  try {
    for await (const message of pull) {
      if (signal.aborted) message.nak();
      else yield deliveryOf(message);
    }
  } finally {
    signal.removeEventListener("abort", stop);
    pull.stop();
  }
}

function deliveryOf(message: JsMsg): EventDelivery {
  return {
    subject: message.subject,
    data: message.data,
    seq: message.seq,
    attempt: message.info.deliveryCount,
    working: () => message.working(),
    ack: async () => {
      if (await message.ackAck()) return;
      throw new CodedError("unavailable", "acknowledge an event: no answer from the broker");
    },
    later: (delayMs) => message.nak(Math.max(1, Math.round(delayMs))),
  };
}
