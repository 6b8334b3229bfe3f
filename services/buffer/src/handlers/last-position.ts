import type { Ledger } from "@millrace/messaging";
import type { LastPositionRequest, LastPositionResponse } from "@millrace/proto/buffer";

/** The end of the first gapless run of accepted positions, which for every source begins at 0. */
export const lastPosition =
  ({ ledger }: { ledger: Ledger }) =>
  async (request: LastPositionRequest): Promise<LastPositionResponse> => {
    const account = await ledger.account(request);
    const [first] = account.settled.intervals();
    return { position: first?.from === 0 ? first.to : 0 };
  };
