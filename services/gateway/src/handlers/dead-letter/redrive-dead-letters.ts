import { CodedError } from "@millrace/errors";
import type { LetterKeeper } from "@millrace/messaging";
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
    const { keeper, asked } = await askedOf(parts, request, call);
    const { redriven, failures, nextAfter } = await parts.redriveLetters(keeper, asked, call.remainingMs());
    return { redriven, failures, nextPageToken: request.id === "" ? nextToken(keeper, nextAfter) : "" };
  };

export const discardDeadLetters =
  (parts: LetterParts) =>
  async (request: DiscardDeadLettersRequest, call: UnaryCall): Promise<DiscardDeadLettersResponse> => {
    const { keeper, asked } = await askedOf(parts, request, call);
    const { discarded, nextAfter } = await parts.discardLetters(keeper, asked, call.remainingMs());
    return { discarded, nextPageToken: request.id === "" ? nextToken(keeper, nextAfter) : "" };
  };

async function askedOf(
  { tenant, find }: LetterParts,
  request: RedriveDeadLettersRequest,
  call: UnaryCall,
): Promise<{ keeper: LetterKeeper; asked: LettersRequest }> {
  const { id, stream, stage, code, pageToken } = request;
  const timeMs = Math.max(0, Math.floor(call.remainingMs() - lastMs));
  if (id !== "") {
    const { keeper, number } = letterOf(id);
    return { keeper, asked: { tenant, number, stream: "", stage: "", code: "", after: 0, timeMs } };
  }
  if (stream === "") {
    throw new CodedError("invalid_argument", "dead letters: neither a letter nor a stream is named", {
      field: "stream",
      remedy: "Give id for one letter, or stream for all of it.",
    });
  }
  await requireStream(find, { tenant, name: stream });
  const { keeper, after } = placeOf(pageToken);
  return { keeper, asked: { tenant, number: 0, stream, stage, code, after, timeMs } };
}
