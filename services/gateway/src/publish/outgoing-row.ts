import { CodedError } from "@millrace/errors";
import { encodeImageWish, imageFormatOf, imageFormatsNamed, limits } from "@millrace/envelope";
import { Kind, Lane } from "@millrace/proto/batch";
import { Priority, type StreamedMessage } from "@millrace/proto/message";
import { ProcessingMode, StorageFormat, type Stream } from "@millrace/proto/stream";
import { millisecondsOf } from "../stream/wire-duration.js";

/** One message on its way into a batch. */
export interface Row {
  lane: Lane;
  kind: Kind;
  /** A text stays one until its batch is put together: bytes of its own would only be copied once more. */
  content: string | Uint8Array;
  /** Its length in UTF-8. */
  contentBytes: number;
  sourceId: string;
  attributes: readonly (readonly [name: string, value: string])[];
  eventTimeMs: number;
  withoutEmbedding: boolean;
  /** What its client wants looked for in it; see `encodeImageWish`. */
  imageWish: number;
  /** About what it adds to a batch beside its content. */
  columnBytes: number;
}

/** The end of the year 9999, as far as timestamps of protobuf go. */
const eventTimeMsMax = 253_402_300_799_999;
/** Lengths, deltas, flags and an id. */
const columnBytesBase = 48;
/** All attributes of a message: a quarter of what the columns of a batch may have. */
const attributeBytesMax = limits.columnsBytesMax / 4;

/** Whether a message came in one request or as an upload, in frames. */
export type CameBy = "request" | "upload";

/**
 * Checks a message and gives it the form of a row. Errors: `invalid_argument`, with the field as the request
 * names it.
 */
export function toRow(
  message: StreamedMessage,
  stream: Stream,
  now: number,
  cameBy: CameBy = "request",
): Row {
  const { kind, content, contentBytes } = contentOf(message, stream, cameBy);
  const sourceId = message.sourceId === "" ? stream.name : message.sourceId;
  checkSourceId(sourceId);
  const attributes = Object.entries(message.attributes);
  const attributeBytes = checkAttributes(attributes);
  return {
    lane: laneOf(message.priority, stream),
    kind,
    content,
    contentBytes,
    sourceId,
    attributes,
    eventTimeMs: eventTimeOf(message, now),
    withoutEmbedding: message.skipEmbedding,
    imageWish: kind === Kind.KIND_IMAGE ? encodeImageWish(message.imageFeatures) : 0,
    columnBytes: columnBytesBase + Buffer.byteLength(sourceId) + attributeBytes,
  };
}

export function laneOf(priority: Priority, stream: Stream): Lane {
  if (priority === Priority.PRIORITY_HIGH) return Lane.LANE_HIGH;
  if (priority === Priority.PRIORITY_BATCH) return Lane.LANE_BATCH;
  if (priority !== Priority.PRIORITY_UNSPECIFIED) {
    throw invalid(
      "priority",
      "is no known priority",
      "Use PRIORITY_HIGH or PRIORITY_BATCH, or leave it out.",
    );
  }
  const isBatch = stream.processingMode === ProcessingMode.PROCESSING_MODE_BATCH;
  return isBatch ? Lane.LANE_BATCH : Lane.LANE_HIGH;
}

export function checkSourceId(sourceId: string): void {
  if (sourceId.length > limits.sourceIdCharsMax) {
    const remedy = `Use at most ${limits.sourceIdCharsMax} characters.`;
    throw invalid("source_id", "is too long", remedy);
  }
  if (/[\0-\x1f\x7f]/.test(sourceId)) throw invalid("source_id", "has a control character", "Remove it.");
}

type Content = NonNullable<StreamedMessage["content"]>;

function contentOf(
  { content }: StreamedMessage,
  stream: Stream,
  cameBy: CameBy,
): Pick<Row, "kind" | "content" | "contentBytes"> {
  if (content === undefined) {
    throw invalid("content", "is missing", "Give a text, an image, or bytes as data.");
  }
  const { $case: field, value } = content;
  const contentBytes = typeof value === "string" ? Buffer.byteLength(value) : value.length;
  checkLength(field, contentBytes, cameBy);
  const isLines = stream.outputs?.storage?.format === StorageFormat.STORAGE_FORMAT_LINES;
  if (field === "image") checkImage(value, isLines);
  else if (isLines && holdsLineFeed(value)) {
    const remedy = "Remove it, or store the stream as STORAGE_FORMAT_RECORDS.";
    throw invalid(field, "has a line feed, which the stream's storage as lines cannot keep", remedy);
  }
  return { kind: kinds[field], content: value, contentBytes };
}

const kinds = { text: Kind.KIND_TEXT, data: Kind.KIND_DATA, image: Kind.KIND_IMAGE } as const;

/** Per kind: in a request, and as an upload, where that takes more. */
const bytesMax = {
  text: { request: limits.messageBytesMax, upload: limits.messageBytesMax },
  data: { request: limits.messageBytesMax, upload: limits.dataBytesMax },
  image: { request: limits.publishedImageBytesMax, upload: limits.imageBytesMax },
} as const;

/** What an upload of that kind may hold. */
export function checkLength(field: Content["$case"], bytes: number, cameBy: CameBy): void {
  const { request, upload } = bytesMax[field];
  if (bytes <= (cameBy === "upload" ? upload : request)) return;
  if (cameBy === "request" && bytes <= upload) {
    throw invalid(field, `has ${bytes} bytes, more than the ${request} of a request`, "Use UploadContent.");
  }
  const remedy = field === "image" ? "Make it smaller" : "Split it into messages";
  throw invalid(field, `has ${bytes} bytes`, `${remedy}: at most ${upload} bytes.`);
}

/** Only what it says it is: privacy decodes it, in a process that may read raw content. */
function checkImage(bytes: Uint8Array, isLines: boolean): void {
  if (imageFormatOf(bytes) === undefined) {
    throw invalid("image", `is no ${imageFormatsNamed}`, "Convert it, or send it as data.");
  }
  if (!isLines) return;
  const remedy = "Store the stream as STORAGE_FORMAT_RECORDS.";
  throw invalid("image", "cannot be kept by the stream's storage as lines", remedy);
}

function holdsLineFeed(content: string | Uint8Array): boolean {
  return typeof content === "string" ? content.includes("\n") : content.includes(0x0a);
}

function checkAttributes(attributes: readonly [string, string][]): number {
  const { attributesMax, attributeNameCharsMax, attributeValueBytesMax } = limits;
  if (attributes.length > attributesMax) {
    throw invalid("attributes", `has ${attributes.length} entries`, `Use at most ${attributesMax}.`);
  }
  let bytes = 0;
  for (const [name, value] of attributes) {
    if (name === "" || name.length > attributeNameCharsMax) {
      throw invalid(
        "attributes",
        "has a name of that length",
        `Name them with 1 to ${attributeNameCharsMax} characters.`,
      );
    }
    const valueBytes = Buffer.byteLength(value);
    if (valueBytes > attributeValueBytesMax) {
      throw invalid(
        "attributes",
        `has a value of ${valueBytes} bytes`,
        `Use at most ${attributeValueBytesMax}.`,
      );
    }
    bytes += Buffer.byteLength(name) + valueBytes + 8;
  }
  if (bytes > attributeBytesMax) {
    throw invalid("attributes", `has ${bytes} bytes`, `Use at most ${attributeBytesMax} in all.`);
  }
  return bytes;
}

function eventTimeOf(message: StreamedMessage, now: number): number {
  if (message.eventTime === undefined) return Math.floor(now);
  const milliseconds = Math.floor(millisecondsOf(message.eventTime));
  if (milliseconds >= 0 && milliseconds <= eventTimeMsMax) return milliseconds;
  throw invalid("event_time", "is out of range", "Use a time from 1970 to 9999, or leave it out for now.");
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `publish: ${field} ${problem}`, { field, remedy });
}
