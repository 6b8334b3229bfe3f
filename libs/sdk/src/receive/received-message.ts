import {
  type DetectedObject,
  type Finding,
  type Message,
  type PassportEntry,
  Priority,
  type Scene,
  type Sentiment,
} from "@millrace/proto/message";
import type { Position } from "../publish/publisher.js";

interface MessageFields {
  /** 32 hexadecimal digits; the same however often the message is sent or read. */
  id: string;
  stream: string;
  sourceId: string;
  position: Position;
  attributes: Readonly<Record<string, string>>;
  priority: "high" | "batch";
  /** When it happened, if its sender said so. */
  eventTime: Date | undefined;
  /** When it was accepted. */
  acceptedTime: Date;
  /** Type and place of the personal data that was replaced; never the value. */
  findings: readonly Finding[];
  /** Replaced and not listed: `findings` has the first 2,048 of the content and 512 of the names. */
  findingsOmitted: number;
  sentiment: Sentiment | undefined;
  /** Things in an image, the likeliest first, each with its box in pixels. */
  objects: readonly DetectedObject[];
  /** What an image shows as a whole. */
  scene: Scene | undefined;
  /** What each service did with it, and when. */
  passport: readonly PassportEntry[];
}

interface TextFields extends MessageFields {
  kind: "text";
  content: string;
  text: string;
}

interface DataFields extends MessageFields {
  kind: "data";
  content: Uint8Array;
  data: Uint8Array;
}

interface ImageFields extends MessageFields {
  kind: "image";
  /** As privacy let it pass: without metadata, faces blurred. */
  content: Uint8Array;
  imageData: Uint8Array;
}

interface Resumable {
  /** `subscribe({ resumeToken })` goes on right behind this message. */
  resumeToken: string;
}

/** A message as it is kept: redacted, with its analyses. */
export type StoredMessage = TextFields | DataFields | ImageFields;
export type TextMessage = TextFields & Resumable;
export type DataMessage = DataFields & Resumable;
export type ImageMessage = ImageFields & Resumable;
export type ReceivedMessage = TextMessage | DataMessage | ImageMessage;

export function toReceived(message: Message, resumeToken: string): ReceivedMessage {
  return { ...toStored(message), resumeToken };
}

export function toStored(message: Message): StoredMessage {
  const fields: MessageFields = {
    id: message.id,
    stream: message.stream,
    sourceId: message.sourceId,
    position: message.position ?? { source: "", offset: 0 },
    attributes: message.attributes,
    priority: toPriority(message.priority),
    eventTime: toDate(message.eventTime),
    acceptedTime: new Date(message.acceptedUs / 1_000),
    findings: message.findings,
    findingsOmitted: message.findingsOmitted,
    sentiment: message.sentiment,
    objects: message.objects,
    scene: message.scene,
    passport: message.passport,
  };
  if (message.content?.$case === "data" || message.content?.$case === "image") {
    // A copy, since the decoded bytes lie in the receive buffer and would keep all of it alive.
    const data = new Uint8Array(message.content.value);
    if (message.content.$case === "image")
      return { ...fields, kind: "image", content: data, imageData: data };
    return { ...fields, kind: "data", content: data, data };
  }
  const text = message.content?.value ?? "";
  return { ...fields, kind: "text", content: text, text };
}

export function toPriority(priority: Priority): "high" | "batch" {
  return priority === Priority.PRIORITY_BATCH ? "batch" : "high";
}

export function toDate(time: { seconds: number; nanos: number } | undefined): Date | undefined {
  return time === undefined ? undefined : new Date(time.seconds * 1_000 + time.nanos / 1e6);
}
