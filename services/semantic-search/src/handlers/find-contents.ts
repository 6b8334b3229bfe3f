import { CodedError } from "@millrace/errors";
import { decodeHalf } from "@millrace/envelope";
import { type Stored, type StreamRegistry, subjects } from "@millrace/messaging";
import { type FindRequest, type FindResponse, StoredEmbedding } from "@millrace/proto/work";
import type { Freshness } from "../freshness/freshness.js";
import type { SearchRequest, VectorIndex } from "../index/vector-index.js";

export interface FindContentsParts {
  index: VectorIndex;
  freshness: Freshness;
  registry: StreamRegistry;
  /** The last message of a subject of EMBEDDINGS. */
  readLast(subject: string): Promise<Stored | undefined>;
  monotonic(): number;
  /** Told how long the index took, its queue included; the wait for a position is no work of the index. */
  onSearched(seconds: number): void;
}

/** Nearest contents to a vector, once what the caller published before can be among them. */
export const findContents =
  ({ index, freshness, registry, readLast, monotonic, onSearched }: FindContentsParts) =>
  async (given: FindRequest): Promise<FindResponse> => {
    const request = given.likeContentId === "" ? given : await byContent(given, readLast);
    if (request.model !== index.model) {
      throw new CodedError(
        "failed_precondition",
        `find: the index holds vectors of ${index.model}, not of ${request.model}`,
        {
          field: "model",
          remedy: "Run inference and semantic-search with the same model.",
        },
      );
    }
    for (const name of request.streams) {
      if ((await registry.find(request.tenant, name)) === undefined) {
        throw new CodedError("not_found", `find: no stream ${name}`, {
          field: "streams",
          remedy: "Create it with CreateStream.",
        });
      }
    }
    if (request.afterSource !== "") {
      const key = { tenant: request.tenant, stream: request.afterStream, source: request.afterSource };
      await freshness.wait(key, request.afterOffset, request.waitMs);
    }
    const begun = monotonic();
    const found = await index.search(toSearch(request));
    onSearched((monotonic() - begun) / 1000);
    const hits = found.filter(({ id }) => id !== request.likeContentId).slice(0, given.maxResults);
    return {
      model: index.model,
      hits: hits.map(({ id, artifact, stream, sourceId, score }) => ({
        contentId: id,
        artifact,
        stream,
        sourceId,
        score,
      })),
    };
  };

/** The vector is that of a content, which is found itself, too. */
async function byContent(
  request: FindRequest,
  readLast: FindContentsParts["readLast"],
): Promise<FindRequest> {
  const { tenant, likeStream, likeContentId, maxResults } = request;
  const stored = await readLast(subjects.embedding(tenant, likeStream, likeContentId));
  const like = stored && StoredEmbedding.decode(stored.data);
  if (like === undefined || like.vector.length === 0) {
    throw new CodedError("not_found", `find: content ${likeContentId} has no vector`, {
      field: "content_id",
      remedy: "Check the ids, and that its stream has embeddings and search on; or look for its text.",
    });
  }
  const { buffer, byteOffset, byteLength } = decodeHalf(like.vector);
  const vector = new Uint8Array(buffer, byteOffset, byteLength);
  return { ...request, model: like.model, vector, maxResults: maxResults + 1 };
}

function toSearch(request: FindRequest): SearchRequest {
  const bytes = Uint8Array.from(request.vector);
  return {
    tenant: request.tenant,
    vector: new Float32Array(bytes.buffer, 0, Math.floor(bytes.length / 4)),
    maxResults: request.maxResults,
    ...(request.minScore === undefined ? {} : { minScore: request.minScore }),
    ...(request.artifacts.length === 0 ? {} : { artifacts: request.artifacts }),
    ...(request.streams.length === 0 ? {} : { streams: request.streams }),
  };
}
