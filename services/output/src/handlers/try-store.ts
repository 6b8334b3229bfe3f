import { findingName } from "@millrace/envelope";
import type { MakeTryBatch } from "@millrace/messaging";
import { StorageFormat } from "@millrace/proto/stream";
import { encodeLines } from "../storage/encode-lines.js";
import { encodeRecords } from "../storage/encode-records.js";

/** For trials: the lines of a batch, written nowhere. */
export const tryBatch: MakeTryBatch = async () => async (open, stream) => {
  const rows = [{ from: 0, to: open.header.count }];
  const isLines = stream.outputs?.storage?.format === StorageFormat.STORAGE_FORMAT_LINES;
  return isLines ? encodeLines(open, rows) : encodeRecords(open, rows, findingName);
};
