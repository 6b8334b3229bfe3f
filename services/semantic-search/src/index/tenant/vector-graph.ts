import { assert } from "@millrace/errors";
import { Index, MetricKind, ScalarKind } from "usearch";

export interface GraphOptions {
  dimensions: number;
  /** Links of a node (M). */
  connectivity: number;
  /** Candidates looked at when a node is linked (efConstruction). */
  expansionAdd: number;
  /** Candidates looked at in a search (ef). */
  expansionSearch: number;
}

/**
 * A navigable small-world graph (HNSW, usearch) over slots. It only ever grows: nothing is removed from a
 * graph, because usearch 2.25 can loop for ever in `remove` once its key table has seen enough adds and
 * removes (unum-cloud/USearch #753; seen here after some 200 of each). Dead members are left out by the
 * caller, who builds a new graph when there are too many.
 */
export interface VectorGraph {
  /** Vectors in the graph, dead ones included. */
  members: number;
  /** Of these, the ones whose slot is dead. */
  dead: number;
  /** Links one unit-length vector; some 0.2 ms at 20,000 members, 0.5 ms at 100,000. */
  add(slot: number, vector: Float32Array): void;
  /**
   * At most `wanted` slots near the unit-length query, nearest first; fewer if the graph has, or reaches,
   * fewer.
   */
  near(query: Float32Array, wanted: number): number[];
  bytes(): number;
}

export function createVectorGraph(options: GraphOptions): VectorGraph {
  const index = new Index({
    dimensions: options.dimensions,
    // Vectors have unit length, so the inner product is the cosine and costs a third of it.
    metric: MetricKind.IP,
    quantization: ScalarKind.F16,
    connectivity: options.connectivity,
    expansion_add: options.expansionAdd,
    expansion_search: options.expansionSearch,
    multi: false,
  });
  const key = new BigUint64Array(1);
  // One thread each: with more, usearch starts threads per call, which costs more than the call.
  const threads = 1;
  const graph: VectorGraph = {
    members: 0,
    dead: 0,
    add(slot, vector) {
      key[0] = BigInt(slot);
      index.add(key, vector, threads);
      graph.members += 1;
    },
    near(query, wanted) {
      assert(wanted > 0, "a search wants at least one neighbour");
      if (graph.members === 0) return [];
      const matches = index.search(query, Math.min(wanted, graph.members), threads);
      return Array.from(matches.keys, Number);
    },
    // A half float per dimension, the links of the lowest level (2 M, 4 bytes each) and of the ones above it
    // (M / (M - 1) more), key, level, and two look-up tables at up to half load.
    bytes: () => graph.members * (options.dimensions * 2 + options.connectivity * 8 + 80),
  };
  return graph;
}
