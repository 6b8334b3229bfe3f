import { CodedError } from "@millrace/errors";
import { batchId, checkBatch, idBytes, openBatch } from "@millrace/envelope";
import type { DeadLetterWriter, Ledger } from "@millrace/messaging";
import type { Fences } from "../accept/fences.js";
import type { RejectRequest, RejectResponse } from "@millrace/proto/buffer";

export interface RejectParts {
  deadLetters: DeadLetterWriter;
  ledger: Ledger;
  fences: Pick<Fences, "under">;
}

/** Dead-letters what a source could not frame, and counts it as come in and dead. */
export const reject =
  ({ deadLetters, ledger, fences }: RejectParts) =>
  async (request: RejectRequest): Promise<RejectResponse> => {
    const letter = request.deadLetter;
    const batch = letter?.batch;
    if (letter === undefined || batch?.body?.$case !== "inline") {
      throw new CodedError("invalid_argument", "reject: no dead letter with its bytes", {
        field: "dead_letter.batch",
      });
    }
    checkBatch(batch);
    const open = openBatch(batch, batch.body.value);
    const { header } = open;
    const interval = { from: header.positionFrom, to: header.positionTo };
    const { tenant, stream } = header;
    return fences.under({ tenant, stream, fence: request.fence }, async () => {
      const account = await ledger.account(header);
      if (account.settled.missing(interval).length === 0) return {};
      header.id = idBytes(batchId(header, interval.from, interval.to));
      const rows = Array.from({ length: header.count }, (_, row) => row);
      await deadLetters.write(open, rows, new CodedError("invalid_argument", letter.reason), 1);
      ledger.settle(header, { intervals: [interval], done: header.count, dead: header.count });
      return {};
    });
  };
