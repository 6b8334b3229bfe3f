import { Framing } from "@millrace/proto/batch";
import { type Frame, positionDeltas } from "../file/line-framer.js";
import type { BufferClient } from "../source/buffer-client.js";
import { lineBatch, type LineOrigin } from "../source/line-batch.js";

/** Lines of a file, as they lie in it, to buffer. */
export const appendFrame =
  ({ buffer, now }: { buffer: BufferClient; now(): number }) =>
  (frame: Frame, origin: LineOrigin): Promise<void> => {
    const lines = { ...frame, positionDeltas: positionDeltas(frame), framing: Framing.FRAMING_LINES };
    return buffer.append(lineBatch(origin, lines, now()));
  };
