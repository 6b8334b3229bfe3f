import type { Hit } from "@millrace/proto/search";
import { checkCount, checkKeys, checkOneOf } from "../units/checks.js";

/** Hits of one search, best first: as `searchSimilar`, `search` and `searchArtifacts` answer. */
export type ResultList =
  | readonly Hit[]
  | { hits: readonly Hit[]; model?: string; artifact?: string; query?: string };

export interface RankOptions {
  /** Default: all. */
  maxResults?: number;
  /**
   * `score` orders by similarity, which means the same only where all was embedded by one model; `rank` by
   * reciprocal ranks, which need no common measure. Default: `score`, and `rank` where the models differ.
   */
  by?: "score" | "rank";
}

/** One list that held the content, and where. */
export interface FoundIn {
  /** Which of the given lists, from 0. */
  list: number;
  /** From 1. */
  rank: number;
  /** Cosine similarity. */
  score: number;
  artifact: string;
  query?: string;
  model?: string;
}

export interface RankedHit extends Hit {
  /** From 1; two of the same score have ranks of their own. */
  rank: number;
  /** By `score` the best cosine similarity; by `rank` the sum of reciprocal ranks, for comparison only. */
  score: number;
  /** For a person: how the rank came about. */
  why: string;
  /** The best place first. */
  foundIn: readonly FoundIn[];
}

/**
 * Ranks that are far down matter little less than those before them: the constant of Cormack, Clarke and
 * Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods", SIGIR 2009.
 */
const fusionConstant = 60;

/** One list out of many: each content once, best first, each with the reason for its rank. */
export function mergeAndRankResults(results: readonly ResultList[], options: RankOptions = {}): RankedHit[] {
  checkKeys(options, ["maxResults", "by"], "");
  const { maxResults, by } = options;
  if (maxResults !== undefined) checkCount(maxResults, "maxResults", [1, 1_000_000]);
  if (by !== undefined) checkOneOf(by, "by", ["score", "rank"]);
  const lists = results.map(toList);
  const models = new Set(lists.flatMap(({ model }) => (model === undefined ? [] : [model])));
  const method = by ?? (models.size > 1 ? "rank" : "score");
  const merged = [...collect(lists).values()].map(({ hit, foundIn }) => {
    const bestFirst = foundIn.sort((a, b) => b.score - a.score || a.rank - b.rank || a.list - b.list);
    const best = bestFirst[0]?.score ?? 0;
    const score = method === "score" ? best : fused(foundIn);
    return { ...hit, score, why: explain(method, score, foundIn), foundIn: bestFirst, best };
  });
  merged.sort((a, b) => b.score - a.score || b.best - a.best || (a.contentId < b.contentId ? -1 : 1));
  return merged
    .slice(0, maxResults ?? merged.length)
    .map(({ best: _best, ...hit }, at) => ({ ...hit, rank: at + 1 }));
}

interface List {
  hits: readonly Hit[];
  model?: string;
  artifact?: string;
  query?: string;
}

const isHits = (list: ResultList): list is readonly Hit[] => Array.isArray(list);

const toList = (list: ResultList): List => (isHits(list) ? { hits: list } : list);

function collect(lists: readonly List[]): Map<string, { hit: Hit; foundIn: FoundIn[] }> {
  const contents = new Map<string, { hit: Hit; foundIn: FoundIn[] }>();
  for (const [list, { hits, model, query }] of lists.entries()) {
    const seen = new Set<string>();
    for (const [at, hit] of hits.entries()) {
      // A list that names a content twice says nothing more by it.
      if (seen.has(hit.contentId)) continue;
      seen.add(hit.contentId);
      const place: FoundIn = {
        list,
        rank: at + 1,
        score: hit.score,
        artifact: hit.artifact,
        ...(query !== undefined && { query }),
        ...(model !== undefined && { model }),
      };
      const known = contents.get(hit.contentId);
      if (known === undefined) contents.set(hit.contentId, { hit, foundIn: [place] });
      else {
        known.foundIn.push(place);
        // One that was asked for without its text may be known with it from another list.
        if (known.hit.text === "") known.hit = { ...known.hit, text: hit.text };
      }
    }
  }
  return contents;
}

const fused = (foundIn: readonly FoundIn[]): number =>
  foundIn.reduce((sum, { rank }) => sum + 1 / (fusionConstant + rank), 0);

function explain(method: "score" | "rank", score: number, foundIn: readonly FoundIn[]): string {
  const places = foundIn.map(
    ({ list, rank, score: similarity, artifact }) =>
      `${similarity.toFixed(3)} at rank ${rank} of list ${list} (artifact ${artifact})`,
  );
  const how =
    method === "score"
      ? `best similarity ${score.toFixed(3)}`
      : `reciprocal ranks add up to ${score.toFixed(4)}, each 1 / (${fusionConstant} + rank)`;
  return `${how}: ${places.join(", ")}`;
}
