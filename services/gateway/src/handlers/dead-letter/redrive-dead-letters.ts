import { CodedError } from "@millrace/errors";
import { keeperOf, type ShelfName } from "@millrace/messaging";
import type {
  DiscardDeadLettersRequest,
  DiscardDeadLettersResponse,
  RedriveDeadLettersRequest,
  RedriveDeadLettersResponse,
} from "@millrace/proto/deadletter";
import type { LettersRequest } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { letterOf } from "./get-dead-letter.js";
import { type LetterParts, nextToken, placeOf } from "./list-dead-letters.js";

/** So much of the deadline is left to the letter that is in hand, and to the answer. */
const lastMs = 5_000;

export const redriveDeadLetters =
  (parts: LetterParts) =>
  async (request: RedriveDeadLettersRequest, call: UnaryCall): Promise<RedriveDeadLettersResponse> => {
    const { shelf, asked } = await askedOf(parts, request, call);
    const { redriven, failures, nextAfter } = await parts.redriveLetters(
      keeperOf(shelf),
      asked,
      call.remainingMs(),
    );
    return { redriven, failures, nextPageToken: request.id === "" ? nextToken(shelf, nextAfter) : "" };
  };

export const discardDeadLetters =
  (parts: LetterParts) =>
  async (request: DiscardDeadLettersRequest, call: UnaryCall): Promise<DiscardDeadLettersResponse> => {
    const { shelf, asked } = await askedOf(parts, request, call);
    const { discarded, nextAfter } = await parts.discardLetters(keeperOf(shelf), asked, call.remainingMs());
    return { discarded, nextPageToken: request.id === "" ? nextToken(shelf, nextAfter) : "" };
  };

async function askedOf(
  { tenant, find }: LetterParts,
  request: RedriveDeadLettersRequest,
  call: UnaryCall,
): Promise<{ shelf: ShelfName; asked: LettersRequest }> {
  const { id, stream, stage, code, pageToken } = request;
  const timeMs = Math.max(0, Math.floor(call.remainingMs() - lastMs));
  if (id !== "") {
    const { shelf, number } = letterOf(id);
    return { shelf, asked: { tenant, shelf, number, stream: "", stage: "", code: "", after: 0, timeMs } };
  }
  if (stream === "") {
    throw new CodedError("invalid_argument", "dead letters: neither a letter nor a stream is named", {
      field: "stream",
      remedy: "Give id for one letter, or stream for all of it.",
    });
  }
  await requireStream(find, { tenant, name: stream });
  const { shelf, after } = placeOf(pageToken);
  return { shelf, asked: { tenant, shelf, number: 0, stream, stage, code, after, timeMs } };
}
