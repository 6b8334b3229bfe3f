import { CodedError } from "@millrace/errors";
import { Kind } from "@millrace/proto/batch";
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from "hyparquet";
import { z } from "zod";
import { jsonOf, type ReplayedRow } from "./replayed-row.js";

/** What of output's columns makes a message. */
const row = z.object({
  source: z.string(),
  source_id: z.string(),
  position: z.bigint(),
  reach: z.bigint(),
  event_time: z.date().nullish(),
  kind: z.enum(["text", "data", "image"]),
  text: z.string().nullish(),
  data: z.instanceof(Uint8Array).nullish(),
  attributes: z.string().nullish().transform(attributesOf),
});

const kinds = { text: Kind.KIND_TEXT, data: Kind.KIND_DATA, image: Kind.KIND_IMAGE } as const;

/** The parser's own would take a byte order mark away. */
const parsers = { stringFromBytes: textOf };

/** The messages of a Parquet file, of which a row group is held in memory at a time. Errors: `data_loss`. */
export async function* rowsOfParquet(path: string, name: string): AsyncGenerator<ReplayedRow> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  const columns = Object.keys(row.shape);
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    const reading = { file, metadata, columns, rowStart, rowEnd, utf8: false, parsers };
    for (const read of await parquetReadObjects(reading)) yield rowOf(read, name);
    rowStart = rowEnd;
  }
}

function rowOf(read: object, name: string): ReplayedRow {
  const parsed = row.safeParse(read);
  if (!parsed.success) throw new CodedError("data_loss", `replay: ${name} holds a row that is no record`);
  const { source, position, reach, kind, text, data, attributes } = parsed.data;
  return {
    source,
    position: Number(position),
    reach: Number(reach),
    kind: kinds[kind],
    content: data ?? Buffer.from(text ?? ""),
    sourceId: parsed.data.source_id,
    attributes,
    eventTimeMs: parsed.data.event_time?.getTime() ?? Number.NaN,
  };
}

function attributesOf(text: string | null | undefined): [name: string, value: string][] {
  const parsed = z.record(z.string(), z.string()).safeParse(jsonOf(text ?? "{}"));
  return Object.entries(parsed.data ?? {});
}

function textOf(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
