import { CodedError } from "@millrace/errors";
import type { SearchRequest } from "@millrace/proto/search";
import { epochSource } from "../publish/epochs.js";
import { checkStreamName } from "../stream/stream-name.js";
import { millisecondsOf } from "../stream/wire-duration.js";

const queryBytesMax = 8 * 1024;
const results = { default: 10, max: 1_000 };
const waitMs = { default: 5_000, max: 30_000 };
const scopesMax = 1_000;

export interface CheckedSearch {
  maxResults: number;
  minScore: number | undefined;
  streams: string[];
  artifacts: string[];
  after: { stream: string; source: string; offset: number } | undefined;
  waitMs: number;
}

/** Errors: `invalid_argument`; none of them says what was searched for. */
export function checkSearch(request: SearchRequest): CheckedSearch {
  const { query, maxResults, minScore, streams, artifacts } = request;
  checkText(query, "query");
  if (maxResults > results.max)
    throw invalid("max_results", `is ${maxResults}`, `Use at most ${results.max}.`);
  if (minScore !== undefined && !(minScore >= -1 && minScore <= 1)) {
    throw invalid("min_score", "is no cosine similarity", "Use -1 to 1.");
  }
  checkScopes({ streams, artifacts });
  const max = maxResults === 0 ? results.default : maxResults;
  return {
    maxResults: max,
    minScore,
    streams,
    artifacts,
    after: checkAfter(request),
    waitMs: checkWait(request),
  };
}

/** What is looked for. */
export function checkText(text: string, field: string): void {
  if (text === "") throw invalid(field, "is empty", "Say what to look for.");
  if (Buffer.byteLength(text) <= queryBytesMax) return;
  throw invalid(field, "is too long", `Use at most ${queryBytesMax} bytes.`);
}

/** Where it is looked for. */
export function checkScopes({ streams, artifacts }: Pick<SearchRequest, "streams" | "artifacts">): void {
  if (streams.length > scopesMax)
    throw invalid("streams", "has too many entries", `Name at most ${scopesMax}.`);
  if (artifacts.length > scopesMax)
    throw invalid("artifacts", "has too many entries", `Name at most ${scopesMax}.`);
  for (const stream of streams) checkStreamName(stream, "streams");
  if (!artifacts.every((id) => /^[0-9a-f]{32}$/.test(id))) {
    throw invalid("artifacts", "has an entry that is no id", "Use ids that GetOrCreateArtifact gave.");
  }
}

function checkAfter({ after, afterStream }: SearchRequest): CheckedSearch["after"] {
  if (after === undefined) return undefined;
  if (afterStream === "")
    throw invalid("after_stream", "is empty", "Name the stream that the position is of.");
  checkStreamName(afterStream, "after_stream");
  if (!/^[a-z0-9-]{16,64}$/.test(after.source)) {
    throw invalid("after.source", "is no source", "Use the position that a publish answered with.");
  }
  return { stream: afterStream, source: after.source, offset: after.offset };
}

function checkWait({ wait }: SearchRequest): number {
  if (wait === undefined) return waitMs.default;
  const milliseconds = millisecondsOf(wait);
  if (milliseconds >= 0 && milliseconds <= waitMs.max) return milliseconds;
  throw invalid("wait", `is ${milliseconds} ms`, `Use 0 to ${waitMs.max / 1000} s.`);
}

/**
 * The source's key: a position of PublishStream names its epoch, which a client knows, in the place of the
 * key. No epoch looks like a key.
 */
export function sourceOfAfter(
  of: { tenant: string; stream: string },
  createdMs: number,
  source: string,
): string {
  return /^[0-9a-f]{32}$/.test(source) ? source : epochSource(of, createdMs, source);
}

export function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `search: ${field} ${problem}`, { field, remedy });
}
