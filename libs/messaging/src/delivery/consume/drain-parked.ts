import type { Component } from "@millrace/runtime";
import { AckPolicy, type Consumer } from "@nats-io/jetstream";
import { ackWaitMs, parkedStream } from "../../broker/streams.js";
import { subjects } from "../../broker/subjects.js";
import { createHand } from "./hand/hand.js";
import type { StageOptions } from "./options.js";
import type { Parking, StreamOf } from "./parking.js";
import { createPulls } from "./pulls.js";

const pullExpiresMs = 5_000;
const drainAgainMs = 500;
/** The broker removes a drain's consumer after this long without a reader; what is stored stays. */
const inactiveMs = 60_000;

/** Streams that are drained at a time; each has one batch in hand. */
const streamsMax = 256;

/**
 * Works on what a stage has parked: a consumer of one stream each, with one delivery in flight over all
 * replicas, so that a stream that stays blocked holds up no other and its batches stay in order. A batch that
 * is still blocked waits in hand; its stream goes straight again when none is stored.
 */
export function drainParked(options: StageOptions & { parking: Parking }): Component {
  const { broker, runtime, parking } = options;
  const { stage } = parking;
  const consumer = `${stage}-parked`;
  const hand = createHand({ stage, consumer, options, inFlightMax: streamsMax, isParked: true });
  const pulls = createPulls(hand, runtime.clock);
  const drains = new Map<string, Promise<void>>();

  const consumerOf = async ({ tenant, stream }: StreamOf) => {
    // No name of a stage, tenant or stream holds an underscore.
    const name = `${stage}_${tenant}_${stream}`;
    await broker.manager.consumers.add(parkedStream, {
      durable_name: name,
      filter_subject: subjects.parked(stage, tenant, stream),
      ack_policy: AckPolicy.Explicit,
      ack_wait: ackWaitMs * 1e6,
      max_deliver: -1,
      max_ack_pending: 1,
      inactive_threshold: inactiveMs * 1e6,
    });
    return broker.js.consumers.get(parkedStream, name);
  };

  const holds = (of: StreamOf): boolean => !pulls.isOver() && parking.holds(of);
  const drainOne = async (source: Consumer): Promise<void> => {
    const askedAt = runtime.clock.monotonic();
    const pull = await source.fetch({ max_messages: 1, expires: pullExpiresMs });
    await pulls.read(pull, (message) => hand.take(message, askedAt));
    await parking.refresh();
  };
  const drain = async (of: StreamOf): Promise<void> => {
    while (holds(of)) {
      try {
        const source = await consumerOf(of);
        while (holds(of)) await drainOne(source);
      } catch (caught) {
        if (pulls.isOver()) return;
        runtime.log.warn("draining parked batches failed, trying again", { consumer, error: String(caught) });
        await runtime.clock.sleep(drainAgainMs, hand.signal);
      }
    }
  };
  const drainAll = (): void => {
    for (const of of parking.parked()) {
      const key = `${of.tenant}.${of.stream}`;
      if (drains.has(key) || drains.size >= streamsMax || pulls.isOver()) continue;
      drains.set(
        key,
        drain(of).finally(() => drains.delete(key)),
      );
    }
  };
  return {
    name: `consumer ${consumer}`,
    start: async () => {
      parking.onParked(drainAll);
      drainAll();
    },
    stop: async (signal) => {
      await pulls.stop(signal);
      await Promise.all(drains.values());
    },
    // A stream that is blocked alone makes the service no worse for the others.
    health: hand.health,
  };
}
