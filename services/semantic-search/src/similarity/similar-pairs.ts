import { decodeHalf } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { SimilarContents } from "@millrace/proto/event";
import type { StoredEmbedding } from "@millrace/proto/work";
import type { Hit, VectorIndex } from "../index/vector-index.js";

/** A vector as it was stored, and its number in EMBEDDINGS. */
export interface StoredVector {
  stored: StoredEmbedding;
  seq: number;
}

export interface SimilarPairsParts {
  index: Pick<VectorIndex, "model" | "search">;
  tail: {
    hasReached(seq: number): Promise<boolean>;
    /** Undefined: stored so long ago that it is before any that is looked at now. */
    seqOf(contentId: string): number | undefined;
  };
  monotonic(): number;
  sleep(ms: number): Promise<void>;
}

/** Of the nearest, those that were stored after the content itself are passed over. */
const hitsMax = 8;
/** How long a batch waits for the index, which follows within milliseconds; then it is away. */
const waitMaxMs = 5_000;
const pollMs = { first: 2, max: 64 };

/**
 * For each content whose nearest stored one of its stream is as near as `threshold` says: both, and how
 * near. Looked up once the index has the contents themselves, so that of two that arrive together one finds
 * the other; a pair is told by the one that was stored later.
 */
export async function similarPairs(
  parts: SimilarPairsParts,
  vectors: readonly StoredVector[],
  threshold: number,
): Promise<SimilarContents[]> {
  const { index, tail } = parts;
  const comparable = vectors.filter(({ stored }) => stored.model === index.model);
  if (comparable.length === 0) return [];
  await untilIndexed(parts, Math.max(...comparable.map(({ seq }) => seq)));
  const pairs: SimilarContents[] = [];
  // One after the other: searches of people go first.
  for (const { stored, seq } of comparable) {
    const hits = await index.search({
      tenant: stored.tenant,
      streams: [stored.stream],
      vector: decodeHalf(stored.vector),
      maxResults: hitsMax,
      minScore: threshold,
    });
    const nearest = hits.find(({ id }) => id !== stored.contentId && (tail.seqOf(id) ?? 0) < seq);
    if (nearest !== undefined) pairs.push(pairOf(stored, nearest));
  }
  return pairs;
}

async function untilIndexed({ tail, monotonic, sleep }: SimilarPairsParts, seq: number): Promise<void> {
  const until = monotonic() + waitMaxMs;
  for (let pause = pollMs.first; !(await tail.hasReached(seq)); pause = Math.min(2 * pause, pollMs.max)) {
    if (monotonic() >= until) {
      throw new CodedError("unavailable", "compare new vectors: the index does not follow", {
        retryAfterMs: 1_000,
      });
    }
    await sleep(pause);
  }
}

function pairOf({ contentId, artifact, sourceId }: StoredEmbedding, nearest: Hit): SimilarContents {
  return {
    content: { contentId, artifact, sourceId },
    nearest: { contentId: nearest.id, artifact: nearest.artifact, sourceId: nearest.sourceId },
    score: nearest.score,
  };
}
