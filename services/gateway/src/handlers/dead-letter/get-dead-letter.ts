import { CodedError } from "@millrace/errors";
import { keeperOf, type ShelfName, shelfNames } from "@millrace/messaging";
import type { GetDeadLetterRequest, GetDeadLetterResponse } from "@millrace/proto/deadletter";
import type { UnaryCall } from "../../rpc/unary-call.js";
import type { LetterParts } from "./list-dead-letters.js";

export const getDeadLetter =
  (parts: LetterParts) =>
  ({ id }: GetDeadLetterRequest, call: UnaryCall): Promise<GetDeadLetterResponse> => {
    const asked = { tenant: parts.tenant, ...letterOf(id) };
    return parts.showLetter(keeperOf(asked.shelf), asked, call.remainingMs());
  };

/** Errors: `invalid_argument`. */
export function letterOf(id: string): { shelf: ShelfName; number: number } {
  const [, name, number] = /^([a-z]+)-([1-9]\d{0,14})$/.exec(id) ?? [];
  const shelf = shelfNames.find((known) => known === name);
  if (shelf !== undefined && number !== undefined) return { shelf, number: Number(number) };
  throw new CodedError("invalid_argument", "dead letters: that is no id of a letter", {
    field: "id",
    remedy: "Use an id as ListDeadLetters shows it, such as raw-12, clean-3 or trigger-4.",
  });
}
