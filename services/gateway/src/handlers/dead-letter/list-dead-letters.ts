import { CodedError } from "@millrace/errors";
import { keeperOf, type LetterKeeper, type ShelfName, shelfNames } from "@millrace/messaging";
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

/** Privacy answers for the letters of the raw side, output for those of the clean one and of triggers. */
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
  shelf: ShelfName;
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
    const { shelf, after } = placeOf(request.pageToken);
    const asked = { tenant, shelf, stream, stage, code, after, countMax };
    const { letters, nextAfter } = await parts.listLetters(keeperOf(shelf), asked, call.remainingMs());
    return { letters, nextPageToken: nextToken(shelf, nextAfter) };
  };

/** The first page is of the first shelf; behind its last one the next shelf follows. */
export function placeOf(token: string): LetterPlace {
  if (token === "") return { shelf: "raw", after: 0 };
  const [, first, after] =
    /^([a-z])(\d{1,15})$/.exec(Buffer.from(token, "base64url").toString("latin1")) ?? [];
  const shelf = shelfNames.find((known) => known[0] === first);
  if (shelf !== undefined && after !== undefined) return { shelf, after: Number(after) };
  throw new CodedError("invalid_argument", "dead letters: that is no page token of ours", {
    field: "page_token",
    remedy: "Leave it out for the first page; else send next_page_token of the page before.",
  });
}

export function nextToken(shelf: ShelfName, nextAfter: number): string {
  const next = nextAfter > 0 ? shelf : shelfNames[shelfNames.indexOf(shelf) + 1];
  return next === undefined ? "" : Buffer.from(`${next[0]}${nextAfter}`).toString("base64url");
}
