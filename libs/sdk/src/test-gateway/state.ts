import type { Event } from "@millrace/proto/event";
import { type Message, Priority, type Rejection, type StreamedMessage } from "@millrace/proto/message";
import type { Source } from "@millrace/proto/source";
import type { MemoryGroup } from "../testing/memory-group.js";
import type { Stream } from "@millrace/proto/stream";

/** What the gateway of the tests keeps in memory; it outlives a restart of its server. */
export interface State {
  streams: Map<string, Stream>;
  sources: Source[];
  /** Accepted messages, by `<epoch>/<sequence>` or `key/<idempotency key>`. */
  accepted: Map<string, StreamedMessage>;
  /** Messages that came again after they were accepted. */
  duplicates: number;
  /** Publish streams opened, each with its epoch. */
  epochs: string[];
  /** Each frame's count of messages. */
  frames: number[];
  credits: number;
  /** Accepts, but does not say so. */
  holdsAcks: boolean;
  /** Highest count of messages that were unacknowledged. */
  unacknowledgedMost: number;
  refuse: (message: StreamedMessage) => Omit<Rejection, "sequence"> | undefined;
  results: Message[][];
  /** Groups by name, each with the number of the first batch of results that it has not got. */
  groups: Map<string, { group: MemoryGroup; next: number }>;
  /** Batches of results below this one are gone. */
  resultsFrom: number;
  events: Event[];
  /** Streams of responses stay silent. */
  isSilent: boolean;
  /** Tokens with which subscriptions began. */
  resumedFrom: string[];
  /** The next calls of a method fail so, first in, first out. */
  failures: { method: string; error: Error }[];
  calls: { method: string; request: unknown }[];
}

export interface Served {
  state: State;
  changed(): void;
  /** Calls it now and after each change; returns how to stop that. */
  onChange(listener: () => void): () => void;
}

export function createState(): State {
  return {
    streams: new Map(),
    sources: [],
    accepted: new Map(),
    duplicates: 0,
    epochs: [],
    frames: [],
    credits: 100,
    holdsAcks: false,
    unacknowledgedMost: 0,
    refuse: () => undefined,
    results: [],
    groups: new Map(),
    resultsFrom: 0,
    events: [],
    isSilent: false,
    resumedFrom: [],
    failures: [],
    calls: [],
  };
}

export function resultMessage(id: string, content: string | Uint8Array = `text of ${id}`): Message {
  return {
    id,
    stream: "live",
    sourceId: "s1",
    position: { source: "epoch", offset: 7 },
    content:
      typeof content === "string" ? { $case: "text", value: content } : { $case: "data", value: content },
    attributes: { colour: "red" },
    eventTime: { seconds: 1_700_000_000, nanos: 500_000_000 },
    priority: Priority.PRIORITY_HIGH,
    findings: [{ type: "EMAIL", place: "body", start: 3, length: 7, box: undefined }],
    findingsOmitted: 3,
    sentiment: { label: "positive", score: 0.5, model: "m" },
    objects: [{ label: "cup", score: 0.5, x: 1, y: 2, width: 3, height: 4, model: "o" }],
    scene: { label: "kitchen", score: 0.5, model: "s" },
    passport: [],
    acceptedUs: 1_700_000_000_000_000,
  };
}

export function newDataEvent(id: string, messageIds: string[]): Event {
  const messages = messageIds.map((messageId) => ({ messageId, sourceId: "s1" }));
  return {
    id,
    type: "new_data",
    stream: "live",
    timeMs: 1_700_000_000_000,
    payload: { $case: "newData", value: { priority: Priority.PRIORITY_HIGH, messages } },
  };
}
