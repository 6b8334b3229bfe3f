import { decodeBatch, messageViews, openBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { type TapStage, tapStages } from "@millrace/messaging";
import type { Message } from "@millrace/proto/message";
import type { TapRequest, TapResponse } from "@millrace/proto/tap";
import type { ResponseWriter } from "../../rpc/server-stream.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

export interface TapParts {
  tenant: string;
  find: FindStream;
  tapBatches(
    of: { tenant: string; stream: string; stage: TapStage },
    onBatch: (data: Uint8Array) => void,
  ): Promise<() => void>;
}

/** Held for a caller at most; of a message, so much is shown. */
const waiting = { messagesMax: 1_000, bytesMax: 4 * 1024 * 1024 };
const shownBytesMax = 1024 * 1024;

/** Messages as they pass a stage. A slow caller misses some, and is told how many. */
export const tapStream =
  (parts: TapParts) =>
  async (request: TapRequest, responses: ResponseWriter<TapResponse>): Promise<void> => {
    const { tenant } = parts;
    const { name: stream } = await requireStream(parts.find, { tenant, name: request.stream });
    const stage = stageOf(request.stage);
    const { signal } = responses;
    let held = nothing();
    let bytes = 0;
    let wake = (): void => undefined;
    const hear = (data: Uint8Array): void => {
      bytes += take(held, data, { stage, bytes });
      wake();
    };
    const stop = await parts.tapBatches({ tenant, stream, stage }, hear);
    const onAbort = (): void => wake();
    signal.addEventListener("abort", onAbort);
    try {
      await responses.write(nothing());
      while (!signal.aborted) {
        if (isEmpty(held)) await new Promise<void>((resolve) => (wake = resolve));
        const said = held;
        held = nothing();
        bytes = 0;
        if (!isEmpty(said)) await responses.write(said);
      }
    } finally {
      stop();
      signal.removeEventListener("abort", onAbort);
    }
  };

const nothing = (): TapResponse => ({ messages: [], dropped: 0, unseen: 0 });
const isEmpty = ({ messages, dropped, unseen }: TapResponse): boolean =>
  messages.length === 0 && dropped === 0 && unseen === 0;

/** Adds what there is room for; answers the bytes that it took. */
function take(
  held: TapResponse,
  data: Uint8Array,
  { stage, bytes }: { stage: TapStage; bytes: number },
): number {
  const batch = decodeBatch(data);
  const isInferred = batch.passport.at(-1)?.stage === "inference";
  if (stage !== "results" && isInferred !== (stage === "inference")) return 0;
  if (batch.body?.$case !== "inline") {
    held.unseen += batch.header?.count ?? 0;
    return 0;
  }
  const open = openBatch(batch, batch.body.value);
  let view: ((row: number) => Message) | undefined;
  let taken = 0;
  for (let row = 0; row < open.header.count; row++) {
    const length = open.columns.lengths[row] as number;
    if (length > shownBytesMax) held.unseen += 1;
    else if (held.messages.length >= waiting.messagesMax || bytes + taken + length > waiting.bytesMax)
      held.dropped += 1;
    else {
      view ??= messageViews(open);
      held.messages.push(view(row));
      taken += length;
    }
  }
  return taken;
}

/** Errors: `invalid_argument`. */
function stageOf(name: string): TapStage {
  const stage = tapStages.find((known) => known === (name === "" ? "results" : name));
  if (stage !== undefined) return stage;
  throw new CodedError("invalid_argument", "tap: that is no stage past the filter", {
    field: "stage",
    remedy: `Use ${tapStages.join(", ")}, or leave it out for results.`,
  });
}
