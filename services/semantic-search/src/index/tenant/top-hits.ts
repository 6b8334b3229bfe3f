/** A slot and its score; `id` is the content's, and breaks ties. */
export interface Scored {
  slot: number;
  score: number;
  id: string;
}

/** The best `max` of what is offered, best first; equal scores are ordered by id. */
export interface TopHits {
  readonly hits: readonly Scored[];
  offer(slot: number, score: number): void;
}

export function createTopHits(max: number, minScore: number, idOf: (slot: number) => string): TopHits {
  const hits: Scored[] = [];
  /** Below this nothing can enter. */
  let floor = minScore;

  function offer(slot: number, score: number): void {
    if (score < floor) return;
    const scored = { slot, score, id: idOf(slot) };
    let low = 0;
    let high = hits.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(hits[middle] as Scored, scored)) low = middle + 1;
      else high = middle;
    }
    if (low >= max) return;
    hits.splice(low, 0, scored);
    if (hits.length > max) hits.pop();
    if (hits.length === max) floor = Math.max(minScore, (hits[max - 1] as Scored).score);
  }

  return { hits, offer };
}

export function isBefore(one: { score: number; id: string }, other: { score: number; id: string }): boolean {
  return one.score > other.score || (one.score === other.score && one.id < other.id);
}
