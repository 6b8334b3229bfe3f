import type { Box, Pixels } from "@millrace/images";

/** The picture turned clockwise by so many quarters. */
export function turned({ width, height, data }: Pixels, quarters: 1 | 2 | 3): Pixels {
  const isUpright = quarters === 2;
  const to = { width: isUpright ? width : height, height: isUpright ? height : width };
  const out = new Uint8Array(data.length);
  for (let y = 0; y < to.height; y++) {
    for (let x = 0; x < to.width; x++) {
      const [fromX, fromY] =
        quarters === 1
          ? [y, height - 1 - x]
          : isUpright
            ? [width - 1 - x, height - 1 - y]
            : [width - 1 - y, x];
      const from = (fromY * width + fromX) * 3;
      const at = (y * to.width + x) * 3;
      out[at] = data[from] ?? 0;
      out[at + 1] = data[from + 1] ?? 0;
      out[at + 2] = data[from + 2] ?? 0;
    }
  }
  return { ...to, data: out };
}

/** Where a box of the turned picture lies in the picture, which has these sides. */
export function turnedBack(box: Box, quarters: 1 | 2 | 3, { width, height }: Omit<Pixels, "data">): Box {
  const { x, y, width: wide, height: tall } = box;
  if (quarters === 2) return { x: width - x - wide, y: height - y - tall, width: wide, height: tall };
  if (quarters === 1) return { x: y, y: height - x - wide, width: tall, height: wide };
  return { x: width - y - tall, y: x, width: tall, height: wide };
}
