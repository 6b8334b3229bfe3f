import { CodedError } from "@millrace/errors";
import { StoredContent } from "@millrace/proto/artifact";
import type { Hit, SearchRequest, SearchResponse } from "@millrace/proto/search";
import { type EmbedResponse, FindRequest, type FindResponse, type Found } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { type CheckedSearch, checkSearch, sourceOfAfter } from "../../search/search-request.js";
import { type FindStream, requireStream } from "../../stream/stream-name.js";
import type { ContentOf } from "./get-artifact.js";

export interface SearchParts {
  tenant: string;
  find: FindStream;
  /** Text as privacy lets it pass. */
  cleanText(text: string, timeoutMs: number): Promise<string>;
  embedQuery(text: string, timeoutMs: number): Promise<EmbedResponse>;
  findNearest(request: FindRequest, timeoutMs: number): Promise<FindResponse>;
  readContent(of: ContentOf): Promise<Uint8Array | undefined>;
}

/** So much of the deadline is left for what follows the wait for `after`. */
const afterWaitMs = 500;
/** Contents fetched at once: 1,000 hits are a burst, 64 requests in flight fill the connection. */
const readsInFlightMax = 64;

/** The query passes privacy before the model; it is in memory only, and in no log, span or error. */
export const searchText =
  (parts: SearchParts) =>
  async (request: SearchRequest, call: UnaryCall): Promise<SearchResponse> => {
    const search = checkSearch(request);
    const after = await resolveAfter(parts, search);
    const query = await parts.cleanText(request.query, call.remainingMs());
    const embedded = await parts.embedQuery(query, call.remainingMs());
    const waitMs = Math.max(0, Math.min(search.waitMs, call.remainingMs() - afterWaitMs));
    const { hits: found } = await parts.findNearest(
      {
        ...noFind,
        tenant: parts.tenant,
        model: embedded.model,
        vector: embedded.vectors,
        maxResults: search.maxResults,
        minScore: search.minScore,
        streams: search.streams,
        artifacts: search.artifacts,
        afterStream: after?.stream ?? "",
        afterSource: after?.source ?? "",
        afterOffset: after?.offset ?? 0,
        waitMs: after === undefined ? 0 : Math.floor(waitMs),
      },
      call.remainingMs(),
    );
    const hits = await hitsOf(parts, found, request.omitText);
    return { hits, model: embedded.model };
  };

/** A request to the index that names nothing yet. */
export const noFind = FindRequest.create();

/** What was found, with its text unless that is unwanted. */
export async function hitsOf(parts: SearchParts, found: readonly Found[], omitText: boolean): Promise<Hit[]> {
  const texts = omitText ? [] : await readTexts(parts, found);
  return found.map((hit, index): Hit => ({ ...hit, text: texts[index] ?? "" }));
}

async function resolveAfter(
  { tenant, find }: SearchParts,
  { after }: CheckedSearch,
): Promise<CheckedSearch["after"]> {
  if (after === undefined) return undefined;
  const { createdMs, outputs } = await requireStream(find, { tenant, name: after.stream }, "after_stream");
  if (outputs?.search !== true) {
    throw new CodedError("failed_precondition", `search: stream ${after.stream} is not searchable`, {
      field: "after_stream",
      remedy: "Declare outputs.search with UpdateStream, or leave `after` out.",
    });
  }
  return { ...after, source: sourceOfAfter({ tenant, stream: after.stream }, createdMs, after.source) };
}

/** Texts of the hits that are kept; empty for one whose stream keeps no contents. */
async function readTexts(parts: SearchParts, found: readonly Found[]): Promise<string[]> {
  const texts: string[] = [];
  for (let at = 0; at < found.length; at += readsInFlightMax) {
    const some = found.slice(at, at + readsInFlightMax);
    texts.push(...(await Promise.all(some.map((hit) => readText(parts, hit)))));
  }
  return texts;
}

async function readText(
  { tenant, readContent }: SearchParts,
  { stream, artifact, contentId }: Found,
): Promise<string> {
  const bytes = await readContent({ tenant, stream, artifact, content: contentId });
  if (bytes === undefined) return "";
  const { message } = StoredContent.decode(bytes);
  return message?.content?.$case === "text" ? message.content.value : "";
}
