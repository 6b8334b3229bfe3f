import { CodedError } from "@millrace/errors";
import type { Stream } from "@millrace/proto/stream";

const pageSizeDefault = 100;
const pageSizeMax = 1_000;

/**
 * One page of streams in the order of their names. The token is the base64url of the last name on the page,
 * so that streams which come and go between pages move no other one.
 */
export function pageOf(
  streams: readonly Stream[],
  asked: { pageSize: number; pageToken: string },
): { streams: Stream[]; nextPageToken: string } {
  if (asked.pageSize > pageSizeMax) {
    throw new CodedError("invalid_argument", `list streams: a page of ${asked.pageSize} is too large`, {
      field: "page_size",
      remedy: `Use 1 to ${pageSizeMax}, or 0 for ${pageSizeDefault}.`,
    });
  }
  const size = asked.pageSize === 0 ? pageSizeDefault : asked.pageSize;
  const after = asked.pageToken === "" ? "" : nameOf(asked.pageToken);
  const rest = streams.filter(({ name }) => name > after).sort((a, b) => (a.name < b.name ? -1 : 1));
  const page = rest.slice(0, size);
  const last = page.at(-1);
  const isEnd = last === undefined || rest.length === page.length;
  return { streams: page, nextPageToken: isEnd ? "" : Buffer.from(last.name).toString("base64url") };
}

function nameOf(token: string): string {
  const name = Buffer.from(token, "base64url").toString();
  if (/^[a-z][a-z0-9-]{0,63}$/.test(name)) return name;
  throw new CodedError("invalid_argument", "list streams: that is no page token of ours", {
    field: "page_token",
    remedy: "Leave it out for the first page; else send next_page_token of the page before.",
  });
}
