import { decodeBatch, openBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import { showRows, type TapStage } from "@millrace/messaging";
import type { Message } from "@millrace/proto/message";
import type { TapResponse } from "@millrace/proto/tap";
import type { ShowBatchRequest } from "@millrace/proto/work";

export interface TapHoldParts {
  stage: TapStage;
  /** A batch whose body lies in a segment, as output reads it. */
  showBatch(request: ShowBatchRequest): Promise<TapResponse>;
}

/** Held for a caller at most. */
const room = { countMax: 1_000, bytesMax: 4 * 1024 * 1024 };
/** Batches that wait for their bodies, which are asked for one after the other. */
const askedMax = 4;

/** What a caller has not read yet. There is room for so much; what comes on top is counted. */
export function createTapHold({ stage, showBatch }: TapHoldParts) {
  let held = nothing();
  let bytes = 0;
  let asked = 0;
  let lastAsked = Promise.resolve();
  let isOver = false;
  let wake = (): void => undefined;
  const left = () => ({ countMax: room.countMax - held.messages.length, bytesMax: room.bytesMax - bytes });
  const add = ({ messages, dropped, unseen, gone }: TapResponse): void => {
    for (const message of messages) {
      const length = contentBytes(message);
      const { countMax, bytesMax } = left();
      if (countMax === 0 || length > bytesMax) held.dropped += 1;
      else {
        held.messages.push(message);
        bytes += length;
      }
    }
    held.dropped += dropped;
    held.unseen += unseen;
    held.gone += gone;
    wake();
  };
  const askFor = async (batch: Uint8Array, count: number): Promise<void> => {
    const space = left();
    if (isOver) return;
    // Nothing is read for a caller who is behind.
    if (space.countMax === 0 || space.bytesMax === 0) return add({ ...nothing(), dropped: count });
    add(await showBatch({ batch, ...space }).catch((caught: unknown) => missed(caught, count)));
  };
  return {
    /** A batch that passes. */
    hear: (data: Uint8Array): void => {
      const batch = decodeBatch(data);
      const isInferred = batch.passport.at(-1)?.stage === "inference";
      if (stage !== "results" && isInferred !== (stage === "inference")) return;
      if (batch.body?.$case === "inline") return add(showRows(openBatch(batch, batch.body.value), left()));
      const count = batch.header?.count ?? 0;
      if (asked >= askedMax) return add({ ...nothing(), dropped: count });
      asked += 1;
      lastAsked = lastAsked.then(() => askFor(data, count)).finally(() => (asked -= 1));
    },
    /** What came since the last call, once there is something; empty where it is over. */
    next: async (): Promise<TapResponse> => {
      while (isEmpty(held) && !isOver) await new Promise<void>((resolve) => (wake = resolve));
      const said = held;
      held = nothing();
      bytes = 0;
      return said;
    },
    end: (): void => {
      isOver = true;
      wake();
    },
  };
}

export const nothing = (): TapResponse => ({ messages: [], dropped: 0, unseen: 0, gone: 0 });
const isEmpty = ({ messages, dropped, unseen, gone }: TapResponse): boolean =>
  messages.length === 0 && dropped === 0 && unseen === 0 && gone === 0;

/** Why the messages of a batch are not shown. */
function missed(caught: unknown, count: number): TapResponse {
  const { code } = CodedError.from(caught, "tap");
  // Its segment was deleted, or holds something else by now.
  if (code === "not_found" || code === "data_loss") return { ...nothing(), gone: count };
  // Output reads for other taps.
  if (code === "resource_exhausted") return { ...nothing(), dropped: count };
  return { ...nothing(), unseen: count };
}

function contentBytes({ content }: Message): number {
  if (content === undefined) return 0;
  return content.$case === "text" ? Buffer.byteLength(content.value) : content.value.length;
}
