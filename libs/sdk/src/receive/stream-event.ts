import { type Event, EventServiceService } from "@millrace/proto/event";
import type { Channel } from "../rpc/channel.js";
import { follow } from "../rpc/follow.js";
import { toPriority } from "./received-message.js";

/** What each type of event carries. */
export interface EventPayloads {
  new_data: { messageId: string; sourceId: string; priority: "high" | "batch" };
  /** Messages that a stage gave up on, and why. */
  dead_letter: { stage: string; code: string; reason: string; messages: number };
  source_failed: { source: string; reason: string };
  /** The stream is exempt from the privacy filter from now on, or, where false, no longer. */
  privacy_exempted: { exempt: boolean };
  /** The stream is full, or, where `full` is false, has room again. */
  backpressure: {
    full: boolean;
    /** Who waits: `ingestion`, `gateway`. */
    waiting: readonly string[];
    waitingFor: string;
    /** What holds it up, such as `store lags by 1048576 bytes`. */
    because: string;
    liveBytes: number;
    quotaBytes: number;
  };
}

export type EventType = keyof EventPayloads;

export interface StreamEvent<Type extends EventType = EventType> {
  /** The event's id; the events of one batch of new data share it. */
  id: string;
  type: Type;
  stream: string;
  time: Date;
  payload: EventPayloads[Type];
}

export const eventTypes: readonly EventType[] = [
  "new_data",
  "dead_letter",
  "source_failed",
  "privacy_exempted",
  "backpressure",
];

export interface WatchOptions {
  stream: string;
  type: EventType;
  signal: AbortSignal;
  onOpen: () => void;
}

/** Events of one type from now on; new data comes once a message. Reconnects and goes on where it was. */
export async function* watchEvents(
  channel: Channel,
  { stream, type, signal, onOpen }: WatchOptions,
): AsyncGenerator<StreamEvent, void, undefined> {
  let resumeToken = "";
  const responses = follow(channel, {
    attempted: `watch events of ${stream}`,
    open: () => channel.readable(EventServiceService.watchEvents, { stream, types: [type], resumeToken }),
    onOpen,
    signal,
  });
  for await (const response of responses) {
    if (response.resumeToken !== "") resumeToken = response.resumeToken;
    for (const event of response.events) yield* fanOut(event);
  }
}

function* fanOut(event: Event): Generator<StreamEvent> {
  const head = { id: event.id, stream: event.stream, time: new Date(event.timeMs) };
  switch (event.payload?.$case) {
    case "newData": {
      const { messages } = event.payload.value;
      const priority = toPriority(event.payload.value.priority);
      for (const message of messages) yield { ...head, type: "new_data", payload: { ...message, priority } };
      return;
    }
    case "deadLetter":
      yield { ...head, type: "dead_letter", payload: event.payload.value };
      return;
    case "sourceFailed":
      yield { ...head, type: "source_failed", payload: event.payload.value };
      return;
    case "privacyExempted":
      yield { ...head, type: "privacy_exempted", payload: event.payload.value };
      return;
    case "backpressure":
      yield { ...head, type: "backpressure", payload: event.payload.value };
      return;
    case undefined:
    // An event of a kind that this version does not know is left out.
  }
}
