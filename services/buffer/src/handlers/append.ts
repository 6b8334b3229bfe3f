import { CodedError } from "@millrace/errors";
import { idBytes } from "@millrace/envelope";
import type { Durability } from "@millrace/messaging";
import { type AppendRequest, type AppendResponse, Sender } from "@millrace/proto/buffer";
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
}

export const append =
  ({ acceptor, durability, refusals }: AppendParts) =>
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
    const stream = request.batch.header?.stream ?? "";
    const accepting = acceptor.accept(request.batch, { sender, aside });
    const { id, published } = await accepting.catch((caught: unknown) => {
      refusals.note({ sender, stream }, CodedError.from(caught));
      throw caught;
    });
    const { jetStream = "", seq = 0 } = published ?? {};
    return { batchId: idBytes(id), durability, jetStream, seq };
  };
