import { CodedError } from "@millrace/errors";
import type { LetterKeeper } from "@millrace/messaging";
import type { ListDeadLettersRequest, ListDeadLettersResponse } from "@millrace/proto/deadletter";
import type {
  DiscardLettersResponse,
  LettersRequest,
  ListLettersRequest,
  ListLettersResponse,
  RedriveLettersResponse,
  ShowLetterRequest,
  ShowLetterResponse,
} from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";

/** Privacy answers for the letters of the raw side, output for those of the clean one. */
export interface LetterParts {
  tenant: string;
  find: FindStream;
  listLetters(of: LetterKeeper, request: ListLettersRequest, timeoutMs: number): Promise<ListLettersResponse>;
  showLetter(of: LetterKeeper, request: ShowLetterRequest, timeoutMs: number): Promise<ShowLetterResponse>;
  redriveLetters(
    of: LetterKeeper,
    request: LettersRequest,
    timeoutMs: number,
  ): Promise<RedriveLettersResponse>;
  discardLetters(
    of: LetterKeeper,
    request: LettersRequest,
    timeoutMs: number,
  ): Promise<DiscardLettersResponse>;
}

/** Where a page begins. */
export interface LetterPlace {
  keeper: LetterKeeper;
  after: number;
}

const pageSize = { default: 50, max: 500 };

export const listDeadLetters =
  (parts: LetterParts) =>
  async (request: ListDeadLettersRequest, call: UnaryCall): Promise<ListDeadLettersResponse> => {
    const { tenant } = parts;
    const { stream, stage, code } = request;
    if (stream !== "") await requireStream(parts.find, { tenant, name: stream });
    if (request.pageSize > pageSize.max) {
      throw new CodedError(
        "invalid_argument",
        `list dead letters: a page of ${request.pageSize} is too large`,
        {
          field: "page_size",
          remedy: `Use 1 to ${pageSize.max}, or 0 for ${pageSize.default}.`,
        },
      );
    }
    const countMax = request.pageSize === 0 ? pageSize.default : request.pageSize;
    const { keeper, after } = placeOf(request.pageToken);
    const asked = { tenant, stream, stage, code, after, countMax };
    const { letters, nextAfter } = await parts.listLetters(keeper, asked, call.remainingMs());
    return { letters, nextPageToken: nextToken(keeper, nextAfter) };
  };

/** The first page is of the raw side; behind its last one the clean side follows. */
export function placeOf(token: string): LetterPlace {
  if (token === "") return { keeper: "privacy", after: 0 };
  const [, side, after] = /^([rc])(\d{1,15})$/.exec(Buffer.from(token, "base64url").toString("latin1")) ?? [];
  if (after !== undefined) return { keeper: side === "r" ? "privacy" : "output", after: Number(after) };
  throw new CodedError("invalid_argument", "dead letters: that is no page token of ours", {
    field: "page_token",
    remedy: "Leave it out for the first page; else send next_page_token of the page before.",
  });
}

export function nextToken(keeper: LetterKeeper, nextAfter: number): string {
  if (nextAfter === 0 && keeper === "output") return "";
  const next = nextAfter === 0 ? "c0" : `${keeper === "privacy" ? "r" : "c"}${nextAfter}`;
  return Buffer.from(next).toString("base64url");
}
