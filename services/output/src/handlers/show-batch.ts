import { CodedError } from "@millrace/errors";
import { showRows } from "@millrace/messaging";
import type { TapResponse } from "@millrace/proto/tap";
import type { ShowBatchRequest } from "@millrace/proto/work";
import type { BodyReader } from "@millrace/segments";

/** Bodies read at once for all taps: each has up to 12 MiB, and the sinks go before. */
const atOnceMax = 2;

/**
 * The messages of a batch whose body lies in a segment. The body is a copy, so that no segment is held for a
 * tap; it is not released, as views of it go into the answer.
 */
export function showBatch({ open }: Pick<BodyReader, "open">) {
  let reading = 0;
  return async ({ batch, countMax, bytesMax }: ShowBatchRequest): Promise<TapResponse> => {
    if (reading >= atOnceMax)
      throw new CodedError("resource_exhausted", "tap: bodies are being read for other taps");
    reading += 1;
    try {
      return showRows(await open(batch), { countMax, bytesMax });
    } finally {
      reading -= 1;
    }
  };
}
