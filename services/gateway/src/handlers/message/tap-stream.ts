import { CodedError } from "@millrace/errors";
import { type TapStage, tapStages } from "@millrace/messaging";
import type { TapRequest, TapResponse } from "@millrace/proto/tap";
import type { ResponseWriter } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import { createTapHold, nothing, type TapHoldParts } from "./tap-hold.js";

export interface TapParts extends Pick<TapHoldParts, "showBatch"> {
  tenant: string;
  find: FindStream;
  tapBatches(
    of: { tenant: string; stream: string; stage: TapStage },
    onBatch: (data: Uint8Array) => void,
  ): Promise<() => void>;
}

/** Messages as they pass a stage. A slow caller misses some, and is told how many. */
export const tapStream =
  ({ tenant, find, tapBatches, showBatch }: TapParts) =>
  async (request: TapRequest, responses: ResponseWriter<TapResponse>): Promise<void> => {
    const { name: stream } = await requireStream(find, { tenant, name: request.stream });
    const stage = stageOf(request.stage);
    const { signal } = responses;
    const hold = createTapHold({ stage, showBatch });
    const stop = await tapBatches({ tenant, stream, stage }, hold.hear);
    signal.addEventListener("abort", hold.end);
    try {
      await responses.write(nothing());
      while (!signal.aborted) {
        const said = await hold.next();
        if (!signal.aborted) await responses.write(said);
      }
    } finally {
      stop();
      hold.end();
      signal.removeEventListener("abort", hold.end);
    }
  };

/** Errors: `invalid_argument`. */
function stageOf(name: string): TapStage {
  const stage = tapStages.find((known) => known === (name === "" ? "results" : name));
  if (stage !== undefined) return stage;
  throw new CodedError("invalid_argument", "tap: that is no stage past the filter", {
    field: "stage",
    remedy: `Use ${tapStages.join(", ")}, or leave it out for results.`,
  });
}
