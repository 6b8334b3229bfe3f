import {
  type Event,
  EventServiceService,
  type NewData,
  type PrivacyViolation,
  type SimilarContent,
  type SimilarityThreshold,
  type SourceGap,
} from "@millrace/proto/event";
import type { Channel } from "../rpc/channel.js";
import { follow } from "../rpc/follow.js";
import { type ContentRef, contentRef } from "./content-ref.js";
import type { AboutMessage, EventPayloads, EventType, StreamEvent } from "./event-types.js";
import { toPriority } from "./received-message.js";

export interface WatchOptions {
  stream: string;
  type: EventType;
  signal: AbortSignal;
  onOpen: () => void;
}

/**
 * Events of one type from now on; what is told of messages comes once a message. Reconnects and goes on where
 * it was.
 */
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
    for (const event of response.events) yield* fanOut(channel, event);
  }
}

interface Head {
  id: string;
  stream: string;
  time: Date;
}

function* fanOut(channel: Channel, event: Event): Generator<StreamEvent> {
  const head = { id: event.id, stream: event.stream, time: new Date(event.timeMs) };
  switch (event.payload?.$case) {
    case "newData":
      yield* newData(channel, head, event.payload.value);
      return;
    case "privacyViolation":
      yield* violations(channel, head, event.payload.value);
      return;
    case "similarityThreshold":
      yield* similarities(channel, head, event.payload.value);
      return;
    case "deadLetter":
      yield { ...head, type: "dead_letter", payload: event.payload.value };
      return;
    case "sourceFailed":
      yield { ...head, type: "source_failed", payload: event.payload.value };
      return;
    case "sourceGap":
      yield { ...head, type: "source_gap", payload: gapOf(event.payload.value) };
      return;
    case "privacyExempted":
      yield { ...head, type: "privacy_exempted", payload: event.payload.value };
      return;
    case "backpressure":
      yield { ...head, type: "backpressure", payload: event.payload.value };
      return;
    case "notification":
      yield { ...head, type: "notification", payload: event.payload.value };
      return;
    case undefined:
    // An event of a kind that this version does not know is left out.
  }
}

const gapOf = ({ fromMs, toMs, ...gap }: SourceGap): EventPayloads["source_gap"] => ({
  ...gap,
  from: new Date(fromMs),
  to: new Date(toMs),
});

function* newData(channel: Channel, head: Head, value: NewData): Generator<StreamEvent> {
  const priority = toPriority(value.priority);
  for (const message of value.messages) {
    const about = aboutOf(channel, head, { id: message.messageId, sourceId: message.sourceId });
    const payload = { ...message, priority, content: about.content };
    yield { ...head, ...about, type: "new_data", payload };
  }
}

function* violations(channel: Channel, head: Head, value: PrivacyViolation): Generator<StreamEvent> {
  for (const { messageId, sourceId, counts } of value.messages) {
    const about = aboutOf(channel, head, { id: messageId, sourceId });
    yield { ...head, ...about, type: "privacy_violation", payload: { counts } };
  }
}

function* similarities(channel: Channel, head: Head, value: SimilarityThreshold): Generator<StreamEvent> {
  const { threshold } = value;
  const refOf = ({ contentId: id, sourceId }: SimilarContent): ContentRef =>
    contentRef(channel, { id, sourceId, stream: head.stream });
  for (const { content, nearest, score } of value.pairs) {
    if (content === undefined || nearest === undefined) continue;
    const about = aboutOf(channel, head, { id: content.contentId, sourceId: content.sourceId });
    const payload = { nearest: refOf(nearest), score, threshold };
    yield { ...head, ...about, type: "similarity_threshold", payload };
  }
}

function aboutOf(
  channel: Channel,
  { stream }: Head,
  { id, sourceId }: { id: string; sourceId: string },
): AboutMessage {
  return { source: sourceId, contentId: id, content: contentRef(channel, { id, stream, sourceId }) };
}
