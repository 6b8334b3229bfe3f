import { type OpenBatch, rowKind, rowOffsets } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { Framing, Kind } from "@millrace/proto/batch";
import { extendRuns, type RowRun, rowsOf } from "./choose-rows.js";

/** Rows as they go into a file, one line each. */
export interface EncodedRows {
  /** Pieces to be written one after the other; they may be views into the batch. */
  bytes: Uint8Array[];
  /** The rows that the bytes hold. */
  runs: RowRun[];
  /** Rows that the format cannot hold. */
  rejected: number[];
  /** CRC-32 of the bytes, where it is known without another pass over them. */
  crc32?: number;
}

const lineFeed = 0x0a;

/**
 * STORAGE_FORMAT_LINES: a message is a line. Batches of lines are written as they lie, without a copy; others
 * are put together anew, and messages that hold a line feed are rejected.
 */
export function encodeLines(open: OpenBatch, runs: readonly RowRun[]): EncodedRows {
  const offsets = rowOffsets(open.header, open.columns);
  return open.header.framing === Framing.FRAMING_LINES
    ? asTheyLie(open, offsets, runs)
    : joined(open, offsets, runs);
}

function asTheyLie(
  { body, bodyCrc32 }: OpenBatch,
  offsets: Uint32Array,
  runs: readonly RowRun[],
): EncodedRows {
  const bytes = runs.map(({ from, to }) => {
    const end = offsets[to] as number;
    if (body[end - 1] !== lineFeed) {
      throw new CodedError("data_loss", "store lines: a message does not end in a line feed", {
        field: "batch.body",
      });
    }
    return body.subarray(offsets[from], end);
  });
  const isWhole = bytes.length === 1 && bytes[0]?.length === body.length;
  return {
    bytes,
    runs: [...runs],
    rejected: [],
    ...(isWhole && bodyCrc32 !== undefined ? { crc32: bodyCrc32 } : {}),
  };
}

function joined({ body, columns }: OpenBatch, offsets: Uint32Array, runs: readonly RowRun[]): EncodedRows {
  const kept: RowRun[] = [];
  const rejected: number[] = [];
  let length = 0;
  let nextFeed = body.indexOf(lineFeed);
  for (const row of rowsOf(runs)) {
    const start = offsets[row] as number;
    const end = offsets[row + 1] as number;
    // The body is searched once, however many messages it holds.
    if (nextFeed >= 0 && nextFeed < start) nextFeed = body.indexOf(lineFeed, start);
    // An image may hold no line feed by chance; it is no line either way.
    const isImage = rowKind(columns, row) === Kind.KIND_IMAGE;
    if (isImage || (nextFeed >= start && nextFeed < end)) {
      rejected.push(row);
    } else {
      extendRuns(kept, row);
      length += end - start + 1;
    }
  }
  const lines = new Uint8Array(length);
  let at = 0;
  for (const row of rowsOf(kept)) {
    const message = body.subarray(offsets[row], offsets[row + 1]);
    lines.set(message, at);
    at += message.byteLength;
    lines[at] = lineFeed;
    at += 1;
  }
  return { bytes: length === 0 ? [] : [lines], runs: kept, rejected };
}
