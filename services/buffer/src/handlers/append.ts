import { CodedError } from "@millrace/errors";
import { idBytes } from "@millrace/envelope";
import type { Durability } from "@millrace/messaging";
import type { Batch } from "@millrace/proto/batch";
import { type AppendRequest, type AppendResponse, Sender } from "@millrace/proto/buffer";
import type { Fences } from "../accept/fences.js";
import type { Aside } from "../quota/stream-quota.js";
import type { Acceptor } from "../accept/acceptor.js";
import type { Refusals } from "../quota/refusals.js";

/** As they are named in statuses, events and metrics. */
const senders: Readonly<Partial<Record<Sender, string>>> = {
  [Sender.SENDER_INGESTION]: "ingestion",
  [Sender.SENDER_GATEWAY]: "gateway",
};

export interface AppendParts {
  acceptor: Acceptor;
  durability: Durability;
  refusals: Pick<Refusals, "note">;
  fences: Pick<Fences, "under">;
  /** Frees a body that was written for a batch and will not be taken. */
  discard(batch: Batch): Promise<void>;
}

export const append =
  ({ acceptor, durability, refusals, fences, discard }: AppendParts) =>
  async (request: AppendRequest, aside?: Aside): Promise<AppendResponse> => {
    if (request.batch === undefined)
      throw new CodedError("invalid_argument", "append: no batch", { field: "batch" });
    const sender = senders[request.sender];
    if (sender === undefined) {
      throw new CodedError("invalid_argument", "append: no sender", {
        field: "sender",
        remedy: "Set SENDER_INGESTION or SENDER_GATEWAY.",
      });
    }
    const { batch, fence } = request;
    const { tenant = "", stream = "" } = batch.header ?? {};
    const accepting = fences.under({ tenant, stream, fence }, () =>
      acceptor.accept(batch, { sender, aside }),
    );
    const { id, published } = await accepting.catch(async (caught: unknown) => {
      const error = CodedError.from(caught);
      // Of a holder that is none any more: nobody offers that frame again.
      if (error.field === "fence") await discard(batch);
      else refusals.note({ sender, stream }, error);
      throw caught;
    });
    const { jetStream = "", seq = 0 } = published ?? {};
    return { batchId: idBytes(id), durability, jetStream, seq };
  };
