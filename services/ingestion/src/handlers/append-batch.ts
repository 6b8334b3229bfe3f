import { batchId, idBytes, type OpenBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { Exemptions } from "@millrace/messaging";
import type { Fence } from "@millrace/proto/buffer";
import type { Stream } from "@millrace/proto/stream";
import type { Appender } from "../source/appender.js";

export interface AppendBatchParts {
  /** Each places bodies on its side. */
  raw: Appender;
  clean: Appender;
  exemptions: Exemptions;
}

/** What a source gave, framed, to buffer. The subject is buffer's to choose. */
export const appendBatch =
  ({ raw, clean, exemptions }: AppendBatchParts) =>
  async (open: OpenBatch, { stream, fence }: { stream: Stream; fence: Fence | undefined }): Promise<void> => {
    const { tenant, positionFrom, positionTo } = open.header;
    open.header.id = idBytes(batchId(open.header, positionFrom, positionTo));
    if (await exemptions.isExempt(tenant, stream)) {
      try {
        await clean.append(open, fence);
        return;
      } catch (caught) {
        // The exemption ended in between: buffer takes from the clean side only what is exempt.
        const { code, field } = CodedError.from(caught);
        if (code !== "failed_precondition" || field === "fence") throw caught;
      }
    }
    await raw.append(open, fence);
  };
