import type { FindSimilarRequest, SearchArtifactsRequest } from "@millrace/proto/search";
import { checkStreamName } from "../stream/stream-name.js";
import { checkScopes, checkText, invalid } from "./search-request.js";

const results = { default: 10, max: 999 };
const ofEach = { default: 10, max: 100 };
const artifactsMax = 100;
const thresholdDefault = 0.9;

export interface CheckedSimilar {
  like: NonNullable<FindSimilarRequest["like"]>;
  threshold: number;
  maxResults: number;
}

/** Errors: `invalid_argument`; none of them says what was looked for. */
export function checkSimilar(request: FindSimilarRequest): CheckedSimilar {
  const { like, threshold = thresholdDefault, maxResults } = request;
  if (like === undefined) throw invalid("like", "is missing", "Give a text, or name a content.");
  if (like.$case === "text") checkText(like.value, "text");
  else {
    checkStreamName(like.value.stream, "content.stream");
    if (!/^[0-9a-f]{32}$/.test(like.value.contentId)) {
      throw invalid("content.content_id", "is no id", "Use an id that the server gave.");
    }
  }
  if (!(threshold >= -1 && threshold <= 1)) {
    throw invalid("threshold", "is no cosine similarity", "Use -1 to 1.");
  }
  if (maxResults > results.max)
    throw invalid("max_results", `is ${maxResults}`, `Use at most ${results.max}.`);
  checkScopes(request);
  return { like, threshold, maxResults: maxResults === 0 ? results.default : maxResults };
}

/** Errors: `invalid_argument`. */
export function checkArtifactsSearch(request: SearchArtifactsRequest): {
  maxResults: number;
  minScore: number | undefined;
} {
  const { query, artifacts, maxResults, minScore } = request;
  checkText(query, "query");
  if (artifacts.length === 0 || artifacts.length > artifactsMax) {
    throw invalid("artifacts", `has ${artifacts.length} entries`, `Name 1 to ${artifactsMax}.`);
  }
  checkScopes({ streams: [], artifacts });
  if (maxResults > ofEach.max) throw invalid("max_results", `is ${maxResults}`, `Use at most ${ofEach.max}.`);
  if (minScore !== undefined && !(minScore >= -1 && minScore <= 1)) {
    throw invalid("min_score", "is no cosine similarity", "Use -1 to 1.");
  }
  return { maxResults: maxResults === 0 ? ofEach.default : maxResults, minScore };
}
