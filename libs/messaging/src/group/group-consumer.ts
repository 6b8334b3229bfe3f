import { CodedError } from "@millrace/errors";
import type { Group } from "@millrace/proto/group";
import type { Clock } from "@millrace/runtime";
import {
  AckPolicy,
  type ConsumerInfo,
  type ConsumerMessages,
  DeliverPolicy,
  JetStreamApiError,
  type JsMsg,
} from "@nats-io/jetstream";
import type { Broker } from "../broker/broker.js";
import { ackWaitMs } from "../broker/streams.js";
import { subjects } from "../broker/subjects.js";
import { endPull } from "../delivery/consume/pulls.js";
import { groupDurable } from "./group-keys.js";

/** A frame of results in the hands of one gateway, until it is settled or its time has passed. */
export interface GroupFrame {
  /** Its number in RESULT. */
  seq: number;
  data: Uint8Array;
  /** How many the group was given before this one, repeated ones too: contiguous where nobody else reads. */
  delivery: number;
  isRedelivered: boolean;
  /** Frames behind it that wait. */
  pending: number;
  /** Resolves when the broker knows: the group never sees it again. Errors: `unavailable`. */
  ack(): Promise<void>;
  /** Gives it back, to come again after so long. */
  nak(delayMs: number): void;
  /** Still held. */
  working(): void;
}

/** How far a group is. */
export interface GroupProgress {
  /** Frames it has not been given. */
  pending: number;
  /** Given, and not settled. */
  inHand: number;
  /** Whether some gateway asks for more. */
  isAsked: boolean;
  /** Everything up to this number is settled, or was never the group's. */
  floorSeq: number;
  /** How many it was given, repeated ones too. */
  deliveries: number;
  lastSettledMs: number | undefined;
}

/** Its durable consumer of RESULT. */
export interface GroupConsumer {
  /** Makes it where it is not there. */
  ensure(): Promise<void>;
  /** Hands over up to `max` frames as they come, and resolves after 5 s at the latest. */
  pull(max: number, take: (frame: GroupFrame) => void): Promise<void>;
  /** Ends what is asked for; what arrives until then is handed over. */
  endPull(): Promise<void>;
  /** Undefined where there is none. */
  progress(): Promise<GroupProgress | undefined>;
  remove(): Promise<void>;
}

/** What a group gave back for a while counts too, and other frames lie behind it. */
const ackPendingMax = 16_384;
const consumerNotFound = 10014;
const pullMs = 5_000;

export function openGroupConsumer(
  broker: Broker,
  clock: Pick<Clock, "sleep">,
  { tenant, group }: { tenant: string; group: Group },
): GroupConsumer {
  const name = groupDurable(tenant, group);
  const consumers = broker.manager.consumers;
  let pulling: ConsumerMessages | undefined;
  return {
    ensure: async () => {
      await consumers
        .add("RESULT", {
          durable_name: name,
          filter_subject: subjects.result(tenant, group.stream),
          deliver_policy: DeliverPolicy.StartSequence,
          opt_start_seq: Math.max(1, group.startSeq),
          ack_policy: AckPolicy.Explicit,
          ack_wait: ackWaitMs * 1e6,
          // Attempts are counted by message, and not by the broker.
          max_deliver: -1,
          max_ack_pending: ackPendingMax,
        })
        .catch((cause: unknown) => {
          throw new CodedError("unavailable", `open group ${group.name}: no answer from the broker`, {
            cause,
          });
        });
    },
    pull: async (max, take) => {
      const consumer = await broker.js.consumers.get("RESULT", name);
      const pull = await consumer.fetch({ max_messages: max, expires: pullMs });
      pulling = pull;
      for await (const message of pull) take(frameOf(message));
      pulling = undefined;
    },
    endPull: async () => {
      if (pulling !== undefined) await endPull(pulling, clock);
    },
    progress: async () => {
      const info = await consumers.info("RESULT", name).catch((cause: unknown) => {
        if (cause instanceof JetStreamApiError && cause.code === consumerNotFound) return undefined;
        throw new CodedError("unavailable", `look at group ${group.name}: no answer from the broker`, {
          cause,
        });
      });
      return info === undefined ? undefined : progressOf(info);
    },
    remove: async () => {
      await consumers.delete("RESULT", name).catch((cause: unknown) => {
        if (cause instanceof JetStreamApiError && cause.code === consumerNotFound) return;
        throw new CodedError("unavailable", `delete group ${group.name}: no answer from the broker`, {
          cause,
        });
      });
    },
  };
}

function frameOf(message: JsMsg): GroupFrame {
  return {
    seq: message.seq,
    data: message.data,
    delivery: message.info.deliverySequence,
    isRedelivered: message.info.deliveryCount > 1,
    pending: message.info.pending,
    ack: async () => {
      const known = await message.ackAck().catch(() => false);
      if (!known) throw new CodedError("unavailable", "settle results: no answer from the broker");
    },
    nak: (delayMs) => message.nak(Math.max(0, Math.ceil(delayMs))),
    working: () => message.working(),
  };
}

function progressOf(info: ConsumerInfo): GroupProgress {
  const lastActive = Date.parse(String(info.ack_floor.last_active ?? ""));
  return {
    pending: info.num_pending,
    inHand: info.num_ack_pending,
    isAsked: info.num_waiting > 0,
    floorSeq: info.ack_floor.stream_seq,
    deliveries: info.delivered.consumer_seq,
    lastSettledMs: Number.isFinite(lastActive) ? lastActive : undefined,
  };
}
