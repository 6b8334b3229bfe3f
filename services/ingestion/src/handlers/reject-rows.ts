import { wireBatch } from "@millrace/envelope";
import type { Fence } from "@millrace/proto/buffer";
import type { BufferClient } from "../source/buffer-client.js";
import type { Rejected } from "../source/source-reader.js";

/** What a source gave and can't be a message becomes a dead letter, with what was kept of it. */
export const rejectRows =
  ({ buffer, now }: { buffer: Pick<BufferClient, "reject">; now(): number }) =>
  ({ batch, code, reason, truncatedBytes }: Rejected, fence: Fence | undefined): Promise<void> => {
    const letter = {
      stage: "ingestion",
      code,
      reason,
      attempts: 1,
      timeMs: Math.round(now()),
      batch: wireBatch(batch, { $case: "inline", value: batch.body }),
      truncatedBytes,
    };
    return buffer.reject(letter, fence);
  };
