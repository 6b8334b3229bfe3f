import type { ContentRef } from "./content-ref.js";

/** Personal data by type, such as `{ EMAIL: 2 }`; never a value. */
export type FindingCounts = Readonly<Record<string, number>>;

/** What each type of event carries. */
export interface EventPayloads {
  new_data: { messageId: string; sourceId: string; priority: "high" | "batch"; content: ContentRef };
  /** Messages that a stage gave up on, and why. */
  dead_letter: { stage: string; code: string; reason: string; messages: number };
  source_failed: { source: string; reason: string };
  /** Between two times a source could receive nothing; what was sent then is missing unless sent again. */
  source_gap: {
    source: string;
    from: Date;
    to: Date;
    reason: string;
    /** The peer was asked to go on where it was. */
    resumed: boolean;
  };
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
  /** Of one message: what was found in it, and replaced. It may still be on its way to its artifact. */
  privacy_violation: { counts: FindingCounts };
  /** A new content and the nearest one that was stored before it in its stream. */
  similarity_threshold: { nearest: ContentRef; score: number; threshold: number };
  /** Somebody is to be told, such as `privacy-team`. */
  notification: {
    channel: string;
    /** About which event; empty where it is about none. */
    eventId: string;
    eventType: string;
    messages: readonly { messageId: string; sourceId: string }[];
    counts: FindingCounts;
  };
}

export type EventType = keyof EventPayloads;

/** What an event about one message says of it. */
export interface AboutMessage {
  /** The message's source id, as privacy let it pass. */
  source: string;
  contentId: string;
  content: ContentRef;
}

type MessageEventType = "new_data" | "privacy_violation" | "similarity_threshold";

interface EventOf<Type extends EventType> {
  /** The event's id; what was told of one batch shares it. */
  id: string;
  type: Type;
  stream: string;
  time: Date;
  payload: EventPayloads[Type];
}

export type StreamEvent<Type extends EventType = EventType> = {
  [Each in Type]: Each extends MessageEventType ? EventOf<Each> & AboutMessage : EventOf<Each>;
}[Type];

export const eventTypes: readonly EventType[] = [
  "new_data",
  "dead_letter",
  "source_failed",
  "source_gap",
  "privacy_exempted",
  "backpressure",
  "privacy_violation",
  "similarity_threshold",
  "notification",
];
