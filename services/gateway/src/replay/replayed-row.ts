import {
  decodeBatch,
  openBatch,
  rowAttributes,
  rowEventTimeMs,
  rowKind,
  rowOffsets,
  rowPositions,
  rowSourceId,
} from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { Kind } from "@millrace/proto/batch";
import { z } from "zod";

/** A message on its way from one stream into another. */
export interface ReplayedRow {
  /** Its place in the stream that is read: source, and the interval [position, position + reach) in it. */
  source: string;
  position: number;
  reach: number;
  kind: Kind;
  content: Uint8Array;
  sourceId: string;
  attributes: readonly (readonly [name: string, value: string])[];
  /** NaN where nothing tells it. */
  eventTimeMs: number;
}

/** The messages of one result message of the bus. */
export function* rowsOfResult(data: Uint8Array): Generator<ReplayedRow> {
  const batch = decodeBatch(data);
  const { header, columns, body } = openBatch(
    batch,
    batch.body?.$case === "inline" ? batch.body.value : new Uint8Array(),
  );
  const offsets = rowOffsets(header, columns);
  const positions = rowPositions(header, columns);
  for (let row = 0; row < header.count; row++) {
    const [at, position] = [offsets[row] ?? 0, positions[row] ?? 0];
    yield {
      source: header.source,
      position,
      reach: (positions[row + 1] ?? 0) - position,
      kind: rowKind(columns, row),
      content: body.subarray(at, at + (columns.lengths[row] ?? 0)),
      sourceId: rowSourceId(columns, row),
      attributes: Object.entries(rowAttributes(columns, row)),
      eventTimeMs: rowEventTimeMs(columns, row),
    };
  }
}

/** One line of a stored file of records; output writes them. */
const record = z.looseObject({
  source: z.string(),
  source_id: z.string(),
  position: z.int().min(0),
  reach: z.int().min(1).default(1),
  event_time: z.string(),
  text: z.string().optional(),
  data: z.base64().optional(),
  image: z.base64().optional(),
  attributes: z.record(z.string(), z.string()).default({}),
});

/** Errors: `data_loss`. */
export function rowOfRecord(line: Uint8Array, file: string): ReplayedRow {
  const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8");
  const parsed = record.safeParse(jsonOf(text));
  if (!parsed.success) throw new CodedError("data_loss", `replay: ${file} holds a line that is no record`);
  const {
    source,
    position,
    reach,
    data,
    image,
    attributes,
    source_id: sourceId,
    event_time: time,
  } = parsed.data;
  return {
    source,
    position,
    reach,
    kind: kindOf(parsed.data),
    content: Buffer.from(
      image ?? data ?? parsed.data.text ?? "",
      (image ?? data) === undefined ? "utf8" : "base64",
    ),
    sourceId,
    attributes: Object.entries(attributes),
    eventTimeMs: Date.parse(time),
  };
}

function kindOf({ data, image }: z.infer<typeof record>): Kind {
  if (image !== undefined) return Kind.KIND_IMAGE;
  return data === undefined ? Kind.KIND_TEXT : Kind.KIND_DATA;
}

/** Undefined where it is no JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
