import { below, type Seeded } from "../seeded.js";
import type { VectorSet } from "./exact-scan.js";

/** How far a drawn vector lies from its centre: cosines of about 0.86, as between texts on one matter. */
const spread = 0.6;

/** A vector of length 1 around a random one of the set, and the index of that one. */
export function drawVector(random: Seeded, around: VectorSet): { centre: number; vector: Float32Array } {
  const { dimensions, ids, vectors } = around;
  const centre = below(random, ids.length);
  const vector = new Float32Array(dimensions);
  const scale = spread / Math.sqrt(dimensions);
  for (let i = 0; i < dimensions; i++) {
    vector[i] = (vectors[centre * dimensions + i] ?? 0) + scale * gaussian(random);
  }
  return { centre, vector: normalised(vector) };
}

export function normalised(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

/** Box and Muller's method. */
function gaussian(random: Seeded): number {
  const radius = Math.sqrt(-2 * Math.log((random() + 1) / 2 ** 32));
  return radius * Math.cos((2 * Math.PI * random()) / 2 ** 32);
}
