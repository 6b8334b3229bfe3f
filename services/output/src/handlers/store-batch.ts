import { CodedError } from "@millrace/errors";
import { type Handler, noPace, type StreamRegistry } from "@millrace/messaging";
import type { Stores } from "../store/stores.js";

export interface StoreBatchParts {
  registry: StreamRegistry;
  stores: Stores;
}

/** Enriched batch in, lines in a file out: returns when they are synced and the ledger says so. */
export const storeBatch =
  ({ registry, stores }: StoreBatchParts): Handler =>
  async (enriched, _signal, pace = noPace) => {
    const { header } = enriched;
    const stream = await registry.findFor(header);
    if (stream === undefined) return { dropped: "stream_deleted" };
    if (stream.outputs?.storage === undefined) return { dropped: "storage_removed" };
    // A disk may stand still for as long as it likes: that is no fault of the batch.
    const rejected = await pace.waits(
      stores.store(enriched, stream, { isRedelivered: pace.isRedelivered === true }),
    );
    const error = new CodedError("invalid_argument", "store lines: the content holds a line feed", {
      field: "stream.outputs.storage.format",
      remedy: "Use STORAGE_FORMAT_RECORDS for such content.",
    });
    return { failures: rejected.map((row) => ({ row, error })) };
  };
