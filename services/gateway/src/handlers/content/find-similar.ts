import type {
  FindSimilarRequest,
  FindSimilarResponse,
  SearchArtifactsRequest,
  SearchArtifactsResponse,
} from "@millrace/proto/search";
import type { FindRequest } from "@millrace/proto/work";
import type { UnaryCall } from "../../rpc/unary-call.js";
import { checkArtifactsSearch, checkSimilar } from "../../search/similar-request.js";
import { requireStream } from "../../stream/stream-name.js";
import { hitsOf, noFind, type SearchParts } from "./search-text.js";

/** A text passes privacy before the model, as any query does; a content is compared by its stored vector. */
export const findSimilar =
  (parts: SearchParts) =>
  async (request: FindSimilarRequest, call: UnaryCall): Promise<FindSimilarResponse> => {
    const { like, threshold, maxResults } = checkSimilar(request);
    const { streams, artifacts, omitText } = request;
    const scope = { tenant: parts.tenant, maxResults, minScore: threshold, streams, artifacts };
    let by: Partial<FindRequest>;
    if (like.$case === "content") {
      const { stream, contentId } = like.value;
      await requireStream(parts.find, { tenant: parts.tenant, name: stream }, "content.stream");
      by = { likeStream: stream, likeContentId: contentId };
    } else by = await vectorOf(parts, like.value, call);
    const { hits, model } = await parts.findNearest({ ...noFind, ...scope, ...by }, call.remainingMs());
    return { hits: await hitsOf(parts, hits, omitText), model, threshold };
  };

export const searchArtifacts =
  (parts: SearchParts) =>
  async (request: SearchArtifactsRequest, call: UnaryCall): Promise<SearchArtifactsResponse> => {
    const { maxResults, minScore } = checkArtifactsSearch(request);
    const by = await vectorOf(parts, request.query, call);
    const searches = request.artifacts.map(async (artifact) => {
      const scope = { tenant: parts.tenant, maxResults, minScore, artifacts: [artifact] };
      const { hits } = await parts.findNearest({ ...noFind, ...scope, ...by }, call.remainingMs());
      return { artifact, hits };
    });
    const found = await Promise.all(searches);
    const results = [];
    for (const { artifact, hits } of found) {
      results.push({ artifact, hits: await hitsOf(parts, hits, request.omitText) });
    }
    return { results, model: by.model };
  };

async function vectorOf(
  { cleanText, embedQuery }: SearchParts,
  text: string,
  call: UnaryCall,
): Promise<Pick<FindRequest, "model" | "vector">> {
  const clean = await cleanText(text, call.remainingMs());
  const { model, vectors } = await embedQuery(clean, call.remainingMs());
  return { model, vector: vectors };
}
