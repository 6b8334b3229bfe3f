/** Uniform whole numbers from 0 to 2^32 - 1: splitmix32, the same for the same seed on each machine. */
export type Seeded = () => number;

export function seeded(seed: number): Seeded {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = state ^ (state >>> 16);
    mixed = Math.imul(mixed, 0x21f0aaad);
    mixed ^= mixed >>> 15;
    mixed = Math.imul(mixed, 0x735a2d97);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  };
}

/** A whole number in [0, below). */
export function below(random: Seeded, limit: number): number {
  return Math.floor((random() / 2 ** 32) * limit);
}

export function pick<T>(random: Seeded, from: readonly [T, ...T[]]): T {
  return from[below(random, from.length)] ?? from[0];
}

/** As many digits, none of them to the left of the point. */
export function digits(random: Seeded, count: number): string {
  let text = "";
  while (text.length < count) text += String(below(random, 10));
  return text;
}
