/** Uniform numbers in [0, 1) from a seed (mulberry32): the same data in each run. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface ClusterOptions {
  dimensions: number;
  clusters: number;
  /** Spread of a cluster in each dimension; its centre's is 1. */
  spread: number;
  seed: number;
}

/** A source of unit vectors around random centres: `draw(n)` packs the next n. */
export function clusteredVectors(options: ClusterOptions): (count: number) => Float32Array<ArrayBuffer> {
  const { dimensions, clusters, spread } = options;
  const random = seededRandom(options.seed);
  const normal = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  const centres = new Float32Array(clusters * dimensions).map(normal);
  return (count) => {
    const packed = new Float32Array(count * dimensions);
    for (let at = 0; at < count; at++) {
      const vector = packed.subarray(at * dimensions, (at + 1) * dimensions);
      const centre = Math.floor(random() * clusters) * dimensions;
      let squares = 0;
      for (let lane = 0; lane < dimensions; lane++) {
        const value = (centres[centre + lane] as number) + spread * normal();
        vector[lane] = value;
        squares += value * value;
      }
      const scale = 1 / Math.sqrt(squares);
      for (let lane = 0; lane < dimensions; lane++) vector[lane] = (vector[lane] as number) * scale;
    }
    return packed;
  };
}
