/** Whole pixels from the top left corner, each at most 65,535: so large an image may be along a side. */
export interface FaceBox {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A box where other findings have an offset and a length, of 32 bits each. */
export function packFaceBox({ x, y, width, height }: FaceBox): { start: number; length: number } {
  return { start: ((x << 16) | y) >>> 0, length: ((width << 16) | height) >>> 0 };
}

export function faceBoxOf(start: number, length: number): FaceBox {
  return { x: start >>> 16, y: start & 0xffff, width: length >>> 16, height: length & 0xffff };
}
