import type { Ledger } from "@millrace/messaging";
import type { LastPositionRequest, LastPositionResponse } from "@millrace/proto/buffer";
import type { LeftBatches } from "../accept/left-batches.js";

/** The end of the first gapless run of accepted positions, which for every source begins at 0. */
export const lastPosition =
  ({ ledger, left }: { ledger: Pick<Ledger, "account">; left: Pick<LeftBatches, "untilTaken"> }) =>
  async (request: LastPositionRequest): Promise<LastPositionResponse> => {
    await left.untilTaken(request);
    const account = await ledger.account(request);
    const [first] = account.settled.intervals();
    return { position: first?.from === 0 ? first.to : 0 };
  };
