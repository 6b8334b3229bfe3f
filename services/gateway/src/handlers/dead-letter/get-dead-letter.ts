import { CodedError } from "@millrace/errors";
import type { LetterKeeper } from "@millrace/messaging";
import type { GetDeadLetterRequest, GetDeadLetterResponse } from "@millrace/proto/deadletter";
import type { UnaryCall } from "../../rpc/unary-call.js";
import type { LetterParts } from "./list-dead-letters.js";

export const getDeadLetter =
  (parts: LetterParts) =>
  ({ id }: GetDeadLetterRequest, call: UnaryCall): Promise<GetDeadLetterResponse> => {
    const { keeper, number } = letterOf(id);
    return parts.showLetter(keeper, { tenant: parts.tenant, number }, call.remainingMs());
  };

/** Errors: `invalid_argument`. */
export function letterOf(id: string): { keeper: LetterKeeper; number: number } {
  const [, side, number] = /^(raw|clean)-([1-9]\d{0,14})$/.exec(id) ?? [];
  if (number !== undefined) return { keeper: side === "raw" ? "privacy" : "output", number: Number(number) };
  throw new CodedError("invalid_argument", "dead letters: that is no id of a letter", {
    field: "id",
    remedy: "Use an id as ListDeadLetters shows it, such as raw-12 or clean-3.",
  });
}
