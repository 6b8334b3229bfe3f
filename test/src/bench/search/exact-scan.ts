/** Vectors one after the other, each of length 1, and the id of each. */
export interface VectorSet {
  dimensions: number;
  ids: string[];
  vectors: Float32Array;
}

/** Ids of the nearest by cosine, best first: every vector is looked at. */
export function exactNearest(set: VectorSet, query: Float32Array, count: number): string[] {
  const { dimensions, ids, vectors } = set;
  const nearest: { at: number; score: number }[] = [];
  for (let at = 0; at < ids.length; at++) {
    const start = at * dimensions;
    let score = 0;
    for (let i = 0; i < dimensions; i++) score += (vectors[start + i] ?? 0) * (query[i] ?? 0);
    if (nearest.length === count && score <= (nearest.at(-1)?.score ?? 0)) continue;
    const place = nearest.findIndex((other) => other.score < score);
    nearest.splice(place < 0 ? nearest.length : place, 0, { at, score });
    if (nearest.length > count) nearest.pop();
  }
  return nearest.map(({ at }) => ids[at] ?? "");
}

/** Share of the exact ones that were found. */
export function recallOf(exact: readonly string[], found: readonly string[]): number {
  const ids = new Set(found);
  return exact.filter((id) => ids.has(id)).length / exact.length;
}
