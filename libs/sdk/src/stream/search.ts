import { type Hit, SearchServiceService } from "@millrace/proto/search";
import type { Position } from "../publish/publisher.js";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkCount, checkKeys, checkText, checkTexts } from "../units/checks.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";

export type { Hit };

export interface SearchOptions {
  /** Default 10, at most 1000. */
  maxResults?: number;
  /** Cosine similarity, −1 to 1; what is similar depends on the model. */
  minScore?: number;
  /** Only these streams or artifacts. Default: all. */
  streams?: readonly string[];
  artifacts?: readonly string[];
  /** Waits until what was published to that stream up to there is searchable. */
  after?: { stream: string; position: Position };
  /** How long to wait for it, at most 30 s. Default 5 s. */
  wait?: Duration;
  /** Leaves the contents' text out of the hits. */
  omitText?: boolean;
  signal?: AbortSignal;
}

export interface SearchResult {
  /** Best first; `score` is the cosine similarity. */
  hits: Hit[];
  /** The model by which query and contents were embedded. */
  model: string;
}

const keys = [
  "maxResults",
  "minScore",
  "streams",
  "artifacts",
  "after",
  "wait",
  "omitText",
  "signal",
] as const;

const defaultWaitMs = 5_000;

/** Searches by meaning. The query is used in memory on the server, never stored or logged. */
export async function search(
  channel: Channel,
  query: string,
  options: SearchOptions = {},
): Promise<SearchResult> {
  checkText(query, "query");
  checkSearchOptions(options);
  const { maxResults = 0, minScore, streams = [], artifacts = [], after, wait, omitText, signal } = options;
  const waitMs = wait === undefined ? defaultWaitMs : parseDuration(wait, "wait");
  const request = {
    query,
    maxResults,
    ...(minScore !== undefined && { minScore }),
    streams: [...streams],
    artifacts: [...artifacts],
    after: after?.position,
    afterStream: after?.stream ?? "",
    wait: wait === undefined ? undefined : toWireDuration(waitMs),
    omitText: omitText ?? false,
  };
  return channel.unary(SearchServiceService.search, request, {
    attempted: "search",
    deadlineMs: channel.deadlineMs + (after === undefined ? 0 : waitMs),
    ...(signal !== undefined && { signal }),
  });
}

function checkSearchOptions(options: SearchOptions): void {
  checkKeys(options, keys, "");
  const { maxResults, minScore, streams, artifacts } = options;
  if (maxResults !== undefined) checkCount(maxResults, "maxResults", [1, 1000]);
  if (minScore !== undefined && !(minScore >= -1 && minScore <= 1)) {
    throw invalidArgument("minScore", `is ${String(minScore)}`, "Give a number from -1 to 1.");
  }
  if (streams !== undefined) checkTexts(streams, "streams");
  if (artifacts !== undefined) checkTexts(artifacts, "artifacts");
}
