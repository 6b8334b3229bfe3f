import type { ParquetWriter } from "hyparquet-writer";

/** What of a line of `encodeRecords` the columns are made of. */
interface RecordLine {
  id: string;
  source_id: string;
  source: string;
  position: number;
  reach?: number;
  event_time?: string;
  text?: string;
  data?: string;
  image?: string;
  attributes?: object;
  findings?: object;
  findings_omitted?: number;
  sentiment?: { label: string; score: number; model: string };
  objects?: object;
  scene?: object;
}

type Schema = ParquetWriter["schema"];
type ColumnData = Parameters<ParquetWriter["write"]>[0]["columnData"];
type Value = string | number | bigint | Uint8Array | undefined;

interface Column {
  element: Schema[number];
  /** PLAIN where no two values are alike: looking for such costs more than the rest. */
  encoding?: "PLAIN" | "DELTA_BINARY_PACKED";
  /** Least and greatest value of a row group, by which readers pass over it. */
  statistics: boolean;
  of(line: RecordLine): Value;
}

function text(name: string, of: Column["of"], as: Partial<Column> = {}): Column {
  const element = { name, type: "BYTE_ARRAY", converted_type: "UTF8", repetition_type: "OPTIONAL" } as const;
  return { element, statistics: false, of, ...as };
}

function number(name: string, type: "INT32" | "INT64" | "DOUBLE", of: Column["of"]): Column {
  return { element: { name, type, repetition_type: "OPTIONAL" }, statistics: true, of };
}

/** As text, which every reader knows, and not as Parquet's JSON type, which some of them refuse. */
function json(name: string, of: (line: RecordLine) => object | undefined): Column {
  const element = text(name, () => undefined).element;
  const asText = (line: RecordLine): Value => {
    const value = of(line);
    return value === undefined ? undefined : JSON.stringify(value);
  };
  return { element, statistics: false, of: asText };
}

function required(column: Column, encoding?: Column["encoding"]): Column {
  const element = { ...column.element, repetition_type: "REQUIRED" } as const;
  return { ...column, element, ...(encoding !== undefined && { encoding }) };
}

const isPlain = { encoding: "PLAIN" } as const;

/**
 * The columns of STORAGE_FORMAT_PARQUET, made of the same lines as STORAGE_FORMAT_RECORDS. What
 * a message has not is null; its reach is 1 then.
 */
const columns: readonly Column[] = [
  required(
    text("id", ({ id }) => id),
    "PLAIN",
  ),
  required(text("source_id", (line) => line.source_id, { statistics: true })),
  required(text("source", ({ source }) => source, { statistics: true })),
  required(
    number("position", "INT64", ({ position }) => BigInt(position)),
    "DELTA_BINARY_PACKED",
  ),
  required(number("reach", "INT64", ({ reach }) => BigInt(reach ?? 1))),
  {
    element: {
      name: "event_time",
      type: "INT64",
      converted_type: "TIMESTAMP_MILLIS",
      repetition_type: "OPTIONAL",
    },
    statistics: true,
    of: (line) => (line.event_time === undefined ? undefined : BigInt(Date.parse(line.event_time))),
  },
  required(text("kind", kindOf, { statistics: true })),
  text("text", (line) => line.text, isPlain),
  {
    element: { name: "data", type: "BYTE_ARRAY", repetition_type: "OPTIONAL" },
    statistics: false,
    ...isPlain,
    of: ({ data, image = data }) => (image === undefined ? undefined : Buffer.from(image, "base64")),
  },
  json("attributes", ({ attributes }) => attributes),
  json("findings", ({ findings }) => findings),
  number("findings_omitted", "INT32", (line) => line.findings_omitted),
  text("sentiment_label", ({ sentiment }) => sentiment?.label, { statistics: true }),
  number("sentiment_score", "DOUBLE", ({ sentiment }) => sentiment?.score),
  text("sentiment_model", ({ sentiment }) => sentiment?.model),
  json("objects", ({ objects }) => objects),
  json("scene", ({ scene }) => scene),
];

function kindOf({ data, image }: RecordLine): string {
  if (image !== undefined) return "image";
  return data === undefined ? "text" : "data";
}

export const schema: Schema = [
  { name: "message", num_children: columns.length },
  ...columns.map(({ element }) => element),
];

/** Rows on their way into a row group. */
export interface RowGroup {
  add(line: Uint8Array): void;
  rows(): number;
  /** Of the lines that were added. */
  bytes(): number;
  /** What was added, and begins anew. */
  take(): ColumnData;
}

export function createRowGroup(): RowGroup {
  let values: Value[][] = columns.map(() => []);
  let bytes = 0;
  return {
    add: (line) => {
      const record = JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("utf8"));
      for (const [at, { of }] of columns.entries()) values[at]?.push(of(record as RecordLine));
      bytes += line.byteLength;
    },
    rows: () => values[0]?.length ?? 0,
    bytes: () => bytes,
    take: () => {
      const taken = values;
      values = columns.map(() => []);
      bytes = 0;
      return columns.map(({ element, encoding, statistics }, at) => ({
        name: element.name,
        data: taken[at] ?? [],
        statistics,
        ...(encoding !== undefined && { encoding }),
      }));
    },
  };
}
