/** A likely thing, its box in pixels of the square that the model reads. */
export interface Centred {
  /** From 0. */
  kind: number;
  score: number;
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/**
 * What the maps of a CenterNet show. `centres` says of each kind and cell how likely a thing has its middle
 * there, `sides` of each cell how far the left, upper, right and lower edge of its box are from it, in
 * pixels. A thing is where a cell is as likely as all eight around it.
 */
export function centredThings(
  { centres, sides }: { centres: Float32Array; sides: Float32Array },
  { size, threshold }: { size: number; threshold: number },
): Centred[] {
  const cells = sides.length / 4;
  const across = Math.sqrt(cells);
  const cell = size / across;
  const found: Centred[] = [];
  for (const [at, score] of centres.entries()) {
    // Nearly all end here: only what is likely is compared with its neighbours.
    if (score < threshold || !isPeak(centres, at, across)) continue;
    const place = at % cells;
    const [x, y] = [(place % across) * cell, Math.floor(place / across) * cell];
    const side = (edge: number): number => sides[edge * cells + place] ?? 0;
    found.push({
      kind: Math.floor(at / cells),
      score,
      left: x - side(0),
      top: y - side(1),
      right: x + side(2),
      bottom: y + side(3),
    });
  }
  return found;
}

function isPeak(centres: Float32Array, at: number, across: number): boolean {
  const cells = across * across;
  const map = Math.floor(at / cells) * cells;
  const [x, y] = [(at - map) % across, Math.floor((at - map) / across)];
  const score = centres[at] ?? 0;
  for (let row = Math.max(0, y - 1); row <= Math.min(across - 1, y + 1); row++) {
    for (let column = Math.max(0, x - 1); column <= Math.min(across - 1, x + 1); column++) {
      if ((centres[map + row * across + column] ?? 0) > score) return false;
    }
  }
  return true;
}
