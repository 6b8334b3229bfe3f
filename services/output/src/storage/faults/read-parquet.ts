import { parquetReadObjects } from "hyparquet";

const parsers = {
  stringFromBytes: (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString(),
};

/** The rows of a Parquet file; its columns of JSON are text. */
export async function readParquet(bytes: Buffer): Promise<Record<string, unknown>[]> {
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
  // Null is what a column has for a row without a value: left out here as in records.
  const rows = await parquetReadObjects({ file, utf8: false, parsers });
  const isThere = ([, value]: [string, unknown]): boolean => value !== null && value !== undefined;
  return rows.map((row) => Object.fromEntries(Object.entries(row).filter(isThere)));
}
