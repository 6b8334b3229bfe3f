import type { Pixels } from "./decode.js";

/** In pixels from the top left corner. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Cells a side of what remains of a box. */
const cells = 4;

/** The box, `factor` times as large around its middle, in whole pixels inside the image. */
export function enlarged({ x, y, width, height }: Box, factor: number, image: Omit<Pixels, "data">): Box {
  const left = Math.max(0, Math.floor(x - (width * (factor - 1)) / 2));
  const top = Math.max(0, Math.floor(y - (height * (factor - 1)) / 2));
  const right = Math.min(image.width, Math.ceil(x + (width * (factor + 1)) / 2));
  const bottom = Math.min(image.height, Math.ceil(y + (height * (factor + 1)) / 2));
  return { x: left, y: top, width: Math.max(0, right - left), height: Math.max(0, bottom - top) };
}

/**
 * Replaces each box by 4 × 4 mean colours, drawn smoothly. A blur alone can be turned back, and a finer
 * mosaic can still be matched with a face by a trained network; of 48 numbers, whatever the box's size,
 * neither works: the rest of the face is not hidden but gone.
 */
export function blurBoxes(pixels: Pixels, boxes: readonly Box[]): void {
  for (const box of boxes) {
    const inside = enlarged(box, 1, pixels);
    if (inside.width > 0 && inside.height > 0) drawMeans(pixels, inside, meansOf(pixels, inside));
  }
}

/** Replaces each box by one grey: for what is still taken for a face after it was blurred. */
export function fillBoxes(pixels: Pixels, boxes: readonly Box[]): void {
  for (const box of boxes) {
    const { x, y, width, height } = enlarged(box, 1, pixels);
    for (let row = y; row < y + height; row++) {
      const at = (row * pixels.width + x) * 3;
      pixels.data.fill(128, at, at + width * 3);
    }
  }
}

function meansOf({ data, width }: Pixels, box: Box): Float64Array {
  const sums = new Float64Array(cells * cells * 3);
  const counts = new Float64Array(cells * cells);
  for (let row = 0; row < box.height; row++) {
    const cellRow = Math.floor((row * cells) / box.height) * cells;
    for (let column = 0; column < box.width; column++) {
      const cell = cellRow + Math.floor((column * cells) / box.width);
      const at = ((box.y + row) * width + box.x + column) * 3;
      counts[cell] = (counts[cell] ?? 0) + 1;
      for (let c = 0; c < 3; c++) sums[cell * 3 + c] = (sums[cell * 3 + c] ?? 0) + (data[at + c] ?? 0);
    }
  }
  return sums.map((sum, i) => sum / Math.max(1, counts[Math.floor(i / 3)] ?? 1));
}

/** Between the middles of the cells by distance; outside of them the nearest cell's colour. */
function drawMeans({ data, width }: Pixels, box: Box, means: Float64Array): void {
  const columns = Array.from({ length: box.width }, (_, column) => between(column, box.width));
  for (let row = 0; row < box.height; row++) {
    const [top, bottom, down] = between(row, box.height);
    for (let column = 0; column < box.width; column++) {
      const [left, right, along] = columns[column] ?? [0, 0, 0];
      const at = ((box.y + row) * width + box.x + column) * 3;
      for (let c = 0; c < 3; c++) {
        const mean = (cellRow: number, cell: number): number => means[(cellRow * cells + cell) * 3 + c] ?? 0;
        const upper = mean(top, left) * (1 - along) + mean(top, right) * along;
        const lower = mean(bottom, left) * (1 - along) + mean(bottom, right) * along;
        data[at + c] = Math.round(upper * (1 - down) + lower * down);
      }
    }
  }
}

/** The two cells whose middles a place lies between, and how far it is toward the second. */
function between(place: number, length: number): [number, number, number] {
  const at = Math.min(cells - 1, Math.max(0, ((place + 0.5) * cells) / length - 0.5));
  const first = Math.floor(at);
  return [first, Math.min(cells - 1, first + 1), at - first];
}
