import type { Ledger } from "@millrace/messaging";
import type { LastPositionRequest, LastPositionResponse } from "@millrace/proto/buffer";
import type { Fences } from "../accept/fences.js";
import type { LeftBatches } from "../accept/left-batches.js";

export interface LastPositionParts {
  ledger: Pick<Ledger, "account">;
  left: Pick<LeftBatches, "untilTaken">;
  fences: Pick<Fences, "raise">;
}

/** The end of the gapless run of accepted positions that the given one is in; itself where it is in none. */
export const lastPosition =
  ({ ledger, left, fences }: LastPositionParts) =>
  async (request: LastPositionRequest): Promise<LastPositionResponse> => {
    const { tenant, stream, fence } = request;
    await fences.raise({ tenant, stream, fence });
    await left.untilTaken(request);
    const account = await ledger.account(request);
    const [missing] = account.settled.missing({ from: request.from, to: Number.MAX_SAFE_INTEGER });
    return { position: missing?.from ?? request.from };
  };
