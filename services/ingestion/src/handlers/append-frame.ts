import { batchId, idBytes } from "@millrace/envelope";
import type { BatchPublisher } from "@millrace/messaging";
import { Framing } from "@millrace/proto/batch";
import { type Frame, positionDeltas } from "../file/line-framer.js";
import { lineBatch, type LineOrigin } from "../source/line-batch.js";

/** Lines of a file, as they lie in it, to buffer. */
export const appendFrame =
  ({ batches, now }: { batches: BatchPublisher; now(): number }) =>
  async (frame: Frame, origin: LineOrigin): Promise<void> => {
    const lines = { ...frame, positionDeltas: positionDeltas(frame), framing: Framing.FRAMING_LINES };
    const open = lineBatch(origin, lines, now());
    const { positionFrom, positionTo } = open.header;
    open.header.id = idBytes(batchId(open.header, positionFrom, positionTo));
    // The subject is buffer's to choose.
    await batches.publish(open, "");
  };
