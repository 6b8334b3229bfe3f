import type { Hit } from "../index/index-protocol.js";

/** A hit of the merged list, and where it stood in each list that had it. */
export interface RankedHit extends Hit {
  /** 1 is best. */
  rank: number;
  /** Position in list i, from 1; undefined where list i does not have it. */
  listRanks: readonly (number | undefined)[];
}

/**
 * Merges lists of hits for one query, as from several artifacts or indexes, into the best `maxResults`. A
 * content in more than one list appears once, with its best score. The lists must come from one model: only
 * then are their scores comparable. Equal scores are ordered by id, so the result does not depend on the
 * order of the lists.
 */
export function mergeAndRankResults(lists: readonly (readonly Hit[])[], maxResults: number): RankedHit[] {
  const best = new Map<string, { hit: Hit; listRanks: (number | undefined)[] }>();
  for (const [list, hits] of lists.entries()) {
    for (const [position, hit] of hits.entries()) {
      const known = best.get(hit.id);
      const merged = known ?? { hit, listRanks: lists.map((): number | undefined => undefined) };
      if (hit.score > merged.hit.score) merged.hit = hit;
      merged.listRanks[list] ??= position + 1;
      if (known === undefined) best.set(hit.id, merged);
    }
  }
  return [...best.values()]
    .sort((one, other) => other.hit.score - one.hit.score || (one.hit.id < other.hit.id ? -1 : 1))
    .slice(0, maxResults)
    .map(({ hit, listRanks }, at) => ({ ...hit, rank: at + 1, listRanks }));
}
