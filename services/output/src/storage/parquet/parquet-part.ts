import { createContentHash, writeAll } from "@millrace/files";
import { ByteWriter, ParquetWriter } from "hyparquet-writer";
import type { Disk } from "../spool/disk.js";
import { type LiveRowsOf, readLiveRows } from "../spool/part.js";
import { createRowGroup, schema } from "./columns.js";

/**
 * A row group ends with the line that reaches this size: what is held in memory is a few times as much, and
 * the service does nothing else while it is encoded.
 */
const rowGroupBytes = 4 * 1024 * 1024;
const rowGroupRows = 50_000;

/**
 * Writes the live rows of a spool, which are lines of records, as a Parquet file of their own, synced. It
 * says nothing that the spool does not: after a crash it is made anew.
 */
export async function writeParquetPart(
  disk: Disk,
  of: LiveRowsOf & { to: string },
): Promise<{ bytes: number; blake3: string }> {
  const hash = createContentHash();
  const writer = new ByteWriter();
  const parquet = new ParquetWriter({ writer, schema, createdBy: "millrace" });
  await disk.unlink(of.to);
  const target = await disk.open(of.to, "create");
  let bytes = 0;
  const flush = async (): Promise<void> => {
    const piece = writer.getBytes();
    hash.add(piece);
    await writeAll(target, [piece], bytes);
    bytes += piece.byteLength;
    writer.index = 0;
  };
  const group = createRowGroup();
  const endGroup = async (): Promise<void> => {
    const rowGroupSize = group.rows();
    if (rowGroupSize === 0) return;
    await parquet.write({ columnData: group.take(), rowGroupSize });
    await flush();
  };
  try {
    for await (const pieces of readLiveRows(of)) {
      for (const line of linesOf(pieces)) {
        group.add(line);
        if (group.bytes() >= rowGroupBytes || group.rows() >= rowGroupRows) await endGroup();
      }
    }
    await endGroup();
    await parquet.finish();
    await flush();
    await target.fdatasync();
    return { bytes, blake3: hash.hex() };
  } finally {
    await target.close();
  }
}

/** Each piece holds whole lines. */
function* linesOf(pieces: readonly Uint8Array[]): Generator<Uint8Array> {
  for (const piece of pieces) {
    for (let start = 0; start < piece.byteLength; ) {
      const end = piece.indexOf(0x0a, start) + 1 || piece.byteLength;
      yield piece.subarray(start, end);
      start = end;
    }
  }
}
