import type { Ledger } from "@millrace/messaging";
import type { LastPositionRequest, LastPositionResponse } from "@millrace/proto/buffer";
import type { Fences } from "../accept/fences.js";
import type { LeftBatches } from "../accept/left-batches.js";

export interface LastPositionParts {
  ledger: Pick<Ledger, "account">;
  left: Pick<LeftBatches, "untilTaken">;
  fences: Pick<Fences, "raise">;
}

/** The end of the first gapless run of accepted positions, which for every source begins at 0. */
export const lastPosition =
  ({ ledger, left, fences }: LastPositionParts) =>
  async (request: LastPositionRequest): Promise<LastPositionResponse> => {
    const { tenant, stream, fence } = request;
    await fences.raise({ tenant, stream, fence });
    await left.untilTaken(request);
    const account = await ledger.account(request);
    const [first] = account.settled.intervals();
    return { position: first?.from === 0 ? first.to : 0 };
  };
