/** The middle of a box and its sides, as parts of the image. */
export interface Anchor {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Pixels between the places of each of the six grids that the detector looks at, coarser and coarser. */
const strides = [16, 32, 64, 128, 256, 512];
const shapes = [1, 2, 1 / 2, 3, 1 / 3];
const smallest = 0.2;
const largest = 0.95;

/**
 * The boxes from which a single-shot detector measures, in the order of its outputs: on each place of each
 * grid, boxes of several shapes and of the grid's scale, the finest grid with fewer and smaller ones.
 */
export function anchorsOf(size: number): Anchor[] {
  const scaleOf = (grid: number): number =>
    grid >= strides.length ? 1 : smallest + ((largest - smallest) * grid) / (strides.length - 1);
  return strides.flatMap((stride, grid) => {
    const scale = scaleOf(grid);
    const boxes: [shape: number, scale: number][] =
      grid === 0
        ? [
            [1, 0.1],
            [2, scale],
            [1 / 2, scale],
          ]
        : [
            ...shapes.map((shape): [number, number] => [shape, scale]),
            [1, Math.sqrt(scale * scaleOf(grid + 1))],
          ];
    const places = Math.ceil(size / stride);
    return Array.from({ length: places * places }, (_, at) => ({
      x: ((at % places) + 0.5) / places,
      y: (Math.floor(at / places) + 0.5) / places,
    })).flatMap((place) =>
      boxes.map(([shape, of]) => ({ ...place, width: of * Math.sqrt(shape), height: of / Math.sqrt(shape) })),
    );
  });
}
