import { type Hit, SearchServiceService } from "@millrace/proto/search";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkCount, checkKeys, checkText, checkTexts } from "../units/checks.js";
import type { SearchOptions, SearchResult } from "./search.js";

export interface SimilarOptions {
  /** Cosine similarity, -1 to 1. Default 0.9. */
  threshold?: number;
  /** Default 10, at most 999. */
  maxResults?: number;
  /** Only these streams or artifacts. Default: all. */
  streams?: readonly string[];
  artifacts?: readonly string[];
  /** Leaves the contents' text out of the hits. */
  omitText?: boolean;
  signal?: AbortSignal;
}

/** A text of one's own, or a content that is stored, as events name it. */
export type SimilarTo = string | { id: string; stream: string };

/** An artifact, or its id. */
export type ArtifactName = string | { id: string };

export interface ArtifactResult extends SearchResult {
  artifact: string;
  query: string;
}

const similarKeys = ["threshold", "maxResults", "streams", "artifacts", "omitText", "signal"] as const;
const artifactsKeys = ["maxResults", "minScore", "omitText", "signal"] as const;

/** Contents that are nearly the same, nearest first; a stored content is left out itself. */
export async function findSimilarContent(
  channel: Channel,
  content: SimilarTo,
  options: SimilarOptions = {},
): Promise<Hit[]> {
  checkKeys(options, similarKeys, "");
  const { threshold, maxResults = 10, streams = [], artifacts = [], omitText = false, signal } = options;
  checkCount(maxResults, "maxResults", [1, 999]);
  checkScore(threshold, "threshold");
  checkTexts(streams, "streams");
  checkTexts(artifacts, "artifacts");
  const request = {
    like: likeOf(content),
    ...(threshold !== undefined && { threshold }),
    maxResults,
    streams: [...streams],
    artifacts: [...artifacts],
    omitText,
  };
  const call = { attempted: "find similar contents", ...(signal !== undefined && { signal }) };
  return (await channel.unary(SearchServiceService.findSimilar, request, call)).hits;
}

/**
 * The best of each artifact, searched at the same time with one embedding of the query, in the order of the
 * artifacts; `mergeAndRankResults` makes one list of them.
 */
export async function searchArtifacts(
  channel: Channel,
  query: string,
  search: { artifacts: readonly ArtifactName[]; options?: ArtifactsSearchOptions },
): Promise<ArtifactResult[]> {
  const { artifacts, options = {} } = search;
  checkText(query, "query");
  checkKeys(options, artifactsKeys, "");
  const { maxResults = 10, minScore, omitText = false, signal } = options;
  checkCount(maxResults, "maxResults", [1, 100]);
  checkScore(minScore, "minScore");
  const ids = artifacts.map((artifact) => (typeof artifact === "string" ? artifact : artifact.id));
  checkTexts(ids, "artifacts");
  if (ids.length === 0) return [];
  const request = {
    query,
    artifacts: ids,
    maxResults,
    ...(minScore !== undefined && { minScore }),
    omitText,
  };
  const call = { attempted: "search artifacts", ...(signal !== undefined && { signal }) };
  const { results, model } = await channel.unary(SearchServiceService.searchArtifacts, request, call);
  return results.map(({ artifact, hits }) => ({ artifact, hits, model, query }));
}

/** Each artifact has its own `maxResults`, at most 100. */
export type ArtifactsSearchOptions = Pick<SearchOptions, "maxResults" | "minScore" | "omitText" | "signal">;

function likeOf(content: SimilarTo) {
  if (typeof content === "string") {
    checkText(content, "content");
    return { $case: "text" as const, value: content };
  }
  checkText(content.id, "content.id");
  checkText(content.stream, "content.stream");
  return { $case: "content" as const, value: { stream: content.stream, contentId: content.id } };
}

function checkScore(value: number | undefined, field: string): void {
  if (value === undefined || (value >= -1 && value <= 1)) return;
  throw invalidArgument(field, `is ${String(value)}`, "Give a number from -1 to 1.");
}
