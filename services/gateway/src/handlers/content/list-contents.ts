import { CodedError } from "@millrace/errors";
import type { Stored, StoredPage } from "@millrace/messaging";
import {
  Artifact,
  type ListArtifactsRequest,
  type ListArtifactsResponse,
  type ListContentsRequest,
  type ListContentsResponse,
  StoredContent,
} from "@millrace/proto/artifact";
import { requireStream } from "../../stream/stream-name.js";
import { type ArtifactParts, artifactStream, checkId } from "./get-artifact.js";

/** Behind the `after`th number of the broker. */
export interface PageLimits {
  after: number;
  countMax: number;
  bytesMax: number;
}

export interface ListParts extends Pick<ArtifactParts, "tenant" | "find"> {
  /** Contents that are stored behind a place, in their order. */
  readContents(
    of: { tenant: string; stream: string; artifact: string },
    page: PageLimits,
  ): Promise<StoredPage>;
  /** The same of a stream's artifacts. */
  readArtifacts(of: { tenant: string; stream: string }, page: PageLimits): Promise<StoredPage>;
}

/** The broker ends a page behind what reaches this: texts stay within the 4 MiB of clients. */
const pageBytesMax = 2 * 1024 * 1024;

export const listContents =
  (parts: ListParts) =>
  async (request: ListContentsRequest): Promise<ListContentsResponse> => {
    const { tenant, find } = parts;
    const { stream, artifact } = request;
    await requireStream(find, { tenant, name: stream });
    checkId(artifact, "artifact");
    const { stored, nextPageToken } = await pageOf(
      (limits) => parts.readContents({ tenant, stream, artifact }, limits),
      { ...request, what: "contents", sizes: { default: 50, max: 500 } },
    );
    return { contents: stored.map(({ data }) => StoredContent.decode(data)), nextPageToken };
  };

export const listArtifacts =
  (parts: ListParts) =>
  async (request: ListArtifactsRequest): Promise<ListArtifactsResponse> => {
    const { tenant } = parts;
    const { name: stream } = await artifactStream(parts, request.stream);
    const { stored, nextPageToken } = await pageOf(
      (limits) => parts.readArtifacts({ tenant, stream }, limits),
      { ...request, what: "artifacts", sizes: { default: 100, max: 1_000 } },
    );
    return { artifacts: stored.map(({ data }) => Artifact.decode(data)), nextPageToken };
  };

interface AskedPage {
  pageSize: number;
  pageToken: string;
  what: string;
  sizes: { default: number; max: number };
}

/** A page begins behind a number of the broker: what comes and goes meanwhile moves nothing else. */
async function pageOf(
  read: (limits: PageLimits) => Promise<StoredPage>,
  { pageSize, pageToken, what, sizes }: AskedPage,
): Promise<{ stored: Stored[]; nextPageToken: string }> {
  if (pageSize > sizes.max) {
    throw new CodedError("invalid_argument", `list ${what}: a page of ${pageSize} is too large`, {
      field: "page_size",
      remedy: `Use 1 to ${sizes.max}, or 0 for ${sizes.default}.`,
    });
  }
  const countMax = pageSize === 0 ? sizes.default : pageSize;
  const after = pageToken === "" ? 0 : placeOf(pageToken, what);
  const { messages, more } = await read({ after, countMax, bytesMax: pageBytesMax });
  const last = messages.at(-1);
  return {
    stored: messages,
    nextPageToken: more && last !== undefined ? Buffer.from(`c${last.seq}`).toString("base64url") : "",
  };
}

function placeOf(token: string, what: string): number {
  const place = /^c(\d{1,15})$/.exec(Buffer.from(token, "base64url").toString("latin1"))?.[1];
  if (place !== undefined) return Number(place);
  throw new CodedError("invalid_argument", `list ${what}: that is no page token of ours`, {
    field: "page_token",
    remedy: "Leave it out for the first page; else send next_page_token of the page before.",
  });
}
