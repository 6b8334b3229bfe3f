import { CodedError } from "@millrace/errors";
import { batchId, idBytes } from "@millrace/envelope";
import type { Exemptions } from "@millrace/messaging";
import { Framing } from "@millrace/proto/batch";
import { type Frame, positionDeltas } from "../file/line-framer.js";
import type { Appender } from "../source/appender.js";
import { lineBatch, type LineOrigin } from "../source/line-batch.js";

export interface AppendFrameParts {
  /** Each places bodies on its side. */
  raw: Appender;
  clean: Appender;
  exemptions: Exemptions;
  now(): number;
}

/** Lines of a file, as they lie in it, to buffer. The subject is buffer's to choose. */
export const appendFrame =
  ({ raw, clean, exemptions, now }: AppendFrameParts) =>
  async (frame: Frame, origin: LineOrigin): Promise<void> => {
    const lines = { ...frame, positionDeltas: positionDeltas(frame), framing: Framing.FRAMING_LINES };
    const open = lineBatch(origin, lines, now());
    const { positionFrom, positionTo } = open.header;
    open.header.id = idBytes(batchId(open.header, positionFrom, positionTo));
    if (await exemptions.isExempt(origin.tenant, origin.stream)) {
      try {
        await clean.append(open);
        return;
      } catch (caught) {
        // The exemption ended in between: buffer takes from the clean side only what is exempt.
        if (CodedError.from(caught).code !== "failed_precondition") throw caught;
      }
    }
    await raw.append(open);
  };
