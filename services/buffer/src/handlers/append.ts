import { CodedError } from "@millrace/errors";
import { idBytes } from "@millrace/envelope";
import type { Durability } from "@millrace/messaging";
import type { AppendRequest, AppendResponse } from "@millrace/proto/buffer";
import type { Acceptor } from "../accept/acceptor.js";

export const append =
  ({ acceptor, durability }: { acceptor: Acceptor; durability: Durability }) =>
  async (request: AppendRequest): Promise<AppendResponse> => {
    if (request.batch === undefined)
      throw new CodedError("invalid_argument", "append: no batch", { field: "batch" });
    const { id, published } = await acceptor.accept(request.batch);
    const { jetStream = "", seq = 0 } = published ?? {};
    return { batchId: idBytes(id), durability, jetStream, seq };
  };
