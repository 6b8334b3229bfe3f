import { wireBatch } from "@millrace/envelope";
import { Framing } from "@millrace/proto/batch";
import type { Rejection } from "../file/line-framer.js";
import type { BufferClient } from "../source/buffer-client.js";
import { lineBatch, type LineOrigin } from "../source/line-batch.js";

/** A line above the size limit becomes a dead letter with what was kept of it. */
export const rejectLine =
  ({ buffer, now }: { buffer: BufferClient; now(): number }) =>
  (rejection: Rejection, origin: LineOrigin): Promise<void> => {
    const lines = {
      body: rejection.prefix,
      lengths: Uint32Array.of(rejection.prefix.length),
      positionDeltas: Uint32Array.of(rejection.positionTo - rejection.positionFrom),
      positionFrom: rejection.positionFrom,
      positionTo: rejection.positionTo,
      framing: Framing.FRAMING_PACKED,
    };
    return buffer.reject({
      stage: "ingestion",
      code: "invalid_argument",
      reason: "line above the size limit of a message",
      attempts: 1,
      timeMs: Math.round(now()),
      batch: wireBatch(lineBatch(origin, lines, now()), { $case: "inline", value: rejection.prefix }),
      truncatedBytes: rejection.truncatedBytes,
    });
  };
