import { Priority, type StreamedMessage } from "@millrace/proto/message";
import { invalidArgument } from "../rpc/millrace-error.js";
import { type ImageFeatures, toImageFeatures } from "./image-features.js";
import { checkBoolean, checkKeys, checkOneOf, checkText, place } from "../units/checks.js";

/** What is published: a text, or exactly one of `text`, `image` and `data` with what belongs to it. */
export type OutgoingMessage = string | MessageFields;

export interface MessageFields {
  text?: string;
  /** JPEG, PNG or WebP, 8 MiB at most. */
  image?: Uint8Array;
  /** 4 MiB at most. */
  data?: Uint8Array;
  /** What the message is about or from; its artifact's name. */
  sourceId?: string;
  attributes?: Readonly<Record<string, string>>;
  /** When it happened; a number is milliseconds since 1970. */
  eventTime?: Date | number;
  /** Default: as the stream's processing mode says. */
  priority?: "high" | "batch";
  /** False leaves this message out of the embeddings that the stream asks for. */
  generateEmbeddings?: boolean;
  /** What is looked for in an image. Default: as the stream says. */
  features?: ImageFeatures;
  /**
   * At most 128 characters, remembered for 10 minutes. A message with a key goes by a call of its own, which
   * gives its message id; its order among messages without a key is not kept.
   */
  idempotencyKey?: string;
}

const keys = [
  "text",
  "image",
  "data",
  "sourceId",
  "attributes",
  "eventTime",
  "priority",
  "generateEmbeddings",
  "features",
  "idempotencyKey",
] as const;

const priorities = { high: Priority.PRIORITY_HIGH, batch: Priority.PRIORITY_BATCH };

/** What the gateway takes of each. */
const bytesMax = { text: 768 * 1024, data: 4 * 2 ** 20, image: 8 * 2 ** 20 };
/** More goes by a call of its own, in frames. */
const streamedBytesMax = 768 * 1024;

export interface Outgoing {
  message: StreamedMessage;
  /** About what it costs in memory and on the wire. */
  bytes: number;
  idempotencyKey: string | undefined;
  /** An image or data that is too large for the publish stream. */
  isLarge: boolean;
}

/** Checks a message and gives it its wire form. `field` is its place, such as `messages[4]`. */
export function toOutgoing(message: OutgoingMessage, field: string): Outgoing {
  const fields: MessageFields = typeof message === "string" ? { text: message } : message;
  checkKeys(fields, keys, field);
  const { content, bytes } = toContent(fields, field);
  if (bytes > bytesMax[content.$case]) {
    const most = `${bytesMax[content.$case] / 1024} KiB at most.`;
    const remedy =
      content.$case === "image" ? `Make it smaller: ${most}` : `Split it into messages of ${most}`;
    throw invalidArgument(place(field, content.$case), `has ${bytes} bytes`, remedy);
  }
  if (fields.features !== undefined && content.$case !== "image") {
    throw invalidArgument(place(field, "features"), "belongs to an image", "Leave it out, or give an image.");
  }
  const attributes = toAttributes(fields.attributes ?? {}, place(field, "attributes"));
  if (fields.sourceId !== undefined) checkText(fields.sourceId, place(field, "sourceId"));
  if (fields.priority !== undefined)
    checkOneOf(fields.priority, place(field, "priority"), Object.keys(priorities));
  if (fields.generateEmbeddings !== undefined) {
    checkBoolean(fields.generateEmbeddings, place(field, "generateEmbeddings"));
  }
  if (fields.idempotencyKey !== undefined) checkText(fields.idempotencyKey, place(field, "idempotencyKey"));
  return {
    message: {
      content,
      sourceId: fields.sourceId ?? "",
      attributes: attributes.values,
      eventTime: fields.eventTime === undefined ? undefined : toTimestamp(fields.eventTime, field),
      priority: fields.priority === undefined ? Priority.PRIORITY_UNSPECIFIED : priorities[fields.priority],
      skipEmbedding: fields.generateEmbeddings === false,
      imageFeatures: toImageFeatures(fields.features, place(field, "features")),
    },
    bytes: bytes + attributes.bytes + messageOverheadBytes,
    idempotencyKey: fields.idempotencyKey,
    isLarge: bytes > streamedBytesMax,
  };
}

/** Tags, lengths, source id and time of a usual message. */
const messageOverheadBytes = 64;

type Content = NonNullable<StreamedMessage["content"]>;

function toContent({ text, image, data }: MessageFields, field: string): { content: Content; bytes: number } {
  const remedy = "Give a string as text, or a Uint8Array as image or data.";
  if ([text, image, data].filter((content) => content !== undefined).length !== 1) {
    throw invalidArgument(field, "has not exactly one of text, image and data", remedy);
  }
  if (typeof text === "string") {
    return { content: { $case: "text", value: text }, bytes: Buffer.byteLength(text) };
  }
  const bytes: unknown = image ?? data;
  if (bytes instanceof Uint8Array) {
    return {
      content: { $case: image === undefined ? "data" : "image", value: bytes },
      bytes: bytes.byteLength,
    };
  }
  const problem = "has a text that is no string, or an image or data that is no Uint8Array";
  throw invalidArgument(field, problem, remedy);
}

function toAttributes(values: unknown, field: string): { values: Record<string, string>; bytes: number } {
  if (typeof values !== "object" || values === null || Array.isArray(values)) {
    throw invalidArgument(field, "is no object", "Give an object of strings.");
  }
  let bytes = 0;
  const entries = Object.entries(values).map(([name, value]): [string, string] => {
    if (typeof value !== "string") {
      throw invalidArgument(
        field,
        `has a value that is no string, of ${JSON.stringify(name)}`,
        "Give strings only.",
      );
    }
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value) + 6;
    return [name, value];
  });
  return { values: Object.fromEntries(entries), bytes };
}

function toTimestamp(time: Date | number, field: string): { seconds: number; nanos: number } {
  const milliseconds = typeof time === "number" ? time : time.getTime();
  if (!Number.isFinite(milliseconds)) {
    throw invalidArgument(
      place(field, "eventTime"),
      "is no time",
      "Give a Date, or milliseconds since 1970.",
    );
  }
  const seconds = Math.floor(milliseconds / 1_000);
  return { seconds, nanos: Math.floor((milliseconds - seconds * 1_000) * 1e6) };
}
