import { CodedError } from "@millrace/errors";
import type { StreamRegistry } from "@millrace/messaging";
import type { FindRequest, FindResponse } from "@millrace/proto/work";
import type { Freshness } from "../freshness/freshness.js";
import type { SearchRequest, VectorIndex } from "../index/vector-index.js";

export interface FindContentsParts {
  index: VectorIndex;
  freshness: Freshness;
  registry: StreamRegistry;
  monotonic(): number;
  /** Told how long the index took, its queue included; the wait for a position is no work of the index. */
  onSearched(seconds: number): void;
}

/** Nearest contents to a vector, once what the caller published before can be among them. */
export const findContents =
  ({ index, freshness, registry, monotonic, onSearched }: FindContentsParts) =>
  async (request: FindRequest): Promise<FindResponse> => {
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
    const hits = await index.search(toSearch(request));
    onSearched((monotonic() - begun) / 1000);
    return {
      hits: hits.map(({ id, artifact, stream, sourceId, score }) => ({
        contentId: id,
        artifact,
        stream,
        sourceId,
        score,
      })),
    };
  };

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
