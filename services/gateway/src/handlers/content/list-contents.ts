import { CodedError } from "@millrace/errors";
import type { StoredPage } from "@millrace/messaging";
import { type ListContentsRequest, type ListContentsResponse, StoredContent } from "@millrace/proto/artifact";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { requireStream } from "../../stream/stream-name.js";
import { type ArtifactParts, checkId } from "./get-artifact.js";

export interface ListParts extends Pick<ArtifactParts, "tenant" | "find"> {
  /** Contents that are stored behind a place, in their order. */
  readContents(
    of: { tenant: string; stream: string; artifact: string },
    page: { after: number; countMax: number; bytesMax: number },
  ): Promise<StoredPage>;
}

const pageSize = { default: 50, max: 500 };
/** The broker ends a page behind the content that reaches this: texts stay within the 4 MiB of clients. */
const pageBytesMax = 2 * 1024 * 1024;

/** A page begins behind a number of the broker: contents that come and go meanwhile move no other one. */
export const listContents =
  (parts: ListParts) =>
  async (request: ListContentsRequest, _call: UnaryCall): Promise<ListContentsResponse> => {
    const { tenant, find } = parts;
    const { stream, artifact } = request;
    await requireStream(find, { tenant, name: stream });
    checkId(artifact, "artifact");
    if (request.pageSize > pageSize.max) {
      throw new CodedError("invalid_argument", `list contents: a page of ${request.pageSize} is too large`, {
        field: "page_size",
        remedy: `Use 1 to ${pageSize.max}, or 0 for ${pageSize.default}.`,
      });
    }
    const countMax = request.pageSize === 0 ? pageSize.default : request.pageSize;
    const after = request.pageToken === "" ? 0 : placeOf(request.pageToken);
    const of = { tenant, stream, artifact };
    const { messages, more } = await parts.readContents(of, { after, countMax, bytesMax: pageBytesMax });
    const last = messages.at(-1);
    return {
      contents: messages.map(({ data }) => StoredContent.decode(data)),
      nextPageToken: more && last !== undefined ? Buffer.from(`c${last.seq}`).toString("base64url") : "",
    };
  };

function placeOf(token: string): number {
  const place = /^c(\d{1,15})$/.exec(Buffer.from(token, "base64url").toString("latin1"))?.[1];
  if (place !== undefined) return Number(place);
  throw new CodedError("invalid_argument", "list contents: that is no page token of ours", {
    field: "page_token",
    remedy: "Leave it out for the first page; else send next_page_token of the page before.",
  });
}
