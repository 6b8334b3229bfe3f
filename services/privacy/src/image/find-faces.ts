import { type Box, type ImageTensor, type Pixels, shrunk, toTensor } from "@millrace/images";
import { turned, turnedBack } from "./turn.js";

/** What CenterFace says of each cell of 4 × 4 pixels of its input. */
export interface FaceMaps {
  scores: Float32Array;
  /** Height and width, as logarithms of cells; two planes. */
  sizes: Float32Array;
  /** Of the face's middle from the cell's corner, down and right, in cells; two planes. */
  offsets: Float32Array;
}

export type RunFaceModel = (tensor: ImageTensor) => Promise<FaceMaps>;

export interface Face extends Box {
  /** 0 to 1. */
  score: number;
}

/** The model's own; lower than it is used elsewhere, since a box too many costs less than a face too few. */
export const faceScoreMin = 0.3;
const turnedScoreMin = 0.5;
const cellPixels = 4;
/** Two boxes that share more of their union than this are one face. */
const overlapMax = 0.3;
/** Sides of the model's input are multiples of this. */
const stepPixels = 32;
/** A piece that is looked at in one go: it bounds the model's memory. */
const tilePixels = 640;
/** A face larger than this on one level is looked for on the next, where it has half the size. */
const overlapPixels = 128;
/** The whole image at once, small enough that a face that fills it is found. */
const smallestPixels = 320;
/**
 * From here on it is looked at in half its size first: a face of 24 pixels has 12 then, enough to be found.
 */
const halvedFromPixels = 1_280;

/**
 * The faces of an image, the surest first. It is looked at in several sizes, each half the last, in tiles
 * that overlap: whatever its size, a face has 12 to 128 pixels in one of them.
 *
 * @param changed where the image changed since it was looked at: tiles elsewhere would show what they showed.
 */
export async function findFaces(
  pixels: Pixels,
  run: RunFaceModel,
  changed: readonly Box[] = [{ x: 0, y: 0, width: pixels.width, height: pixels.height }],
): Promise<Face[]> {
  const faces: Face[] = [];
  for (const scale of scalesOf(pixels)) {
    for (const region of tilesOf(pixels, scale)) {
      if (changed.some((box) => shared(box, region) > 0)) {
        faces.push(...(await facesIn(pixels, region, scale, run)));
      }
    }
  }
  if (changed.length > 0) faces.push(...(await turnedFaces(pixels, run)));
  return distinct(faces);
}

/**
 * The model knows upright faces, and not every picture says how it is held: the whole of it is looked at
 * turned as well, where only what is surely a face counts.
 */
async function turnedFaces(pixels: Pixels, run: RunFaceModel): Promise<Face[]> {
  const small = await shrunk(pixels, tilePixels);
  const per = pixels.width / small.width;
  const faces: Face[] = [];
  for (const quarters of [1, 2, 3] as const) {
    const held = turned(small, quarters);
    const all = { x: 0, y: 0, width: held.width, height: held.height };
    for (const face of await facesIn(held, all, 1, run)) {
      if (face.score < turnedScoreMin) continue;
      const { x, y, width, height } = turnedBack(face, quarters, small);
      faces.push({ score: face.score, x: x * per, y: y * per, width: width * per, height: height * per });
    }
  }
  return faces;
}

function scalesOf({ width, height }: Pixels): number[] {
  const longest = Math.max(width, height);
  const scales = [longest > halvedFromPixels ? 0.5 : Math.min(1, tilePixels / longest)];
  for (let scale = scales[0] ?? 1; longest * scale > smallestPixels; ) {
    scale /= 2;
    scales.push(scale);
  }
  return scales;
}

function tilesOf({ width, height }: Pixels, scale: number): Box[] {
  const side = Math.round(tilePixels / scale);
  const step = Math.round((tilePixels - overlapPixels) / scale);
  const tiles: Box[] = [];
  for (const y of startsOf(height, side, step)) {
    for (const x of startsOf(width, side, step)) {
      tiles.push({ x, y, width: Math.min(side, width - x), height: Math.min(side, height - y) });
    }
  }
  return tiles;
}

/** The last tile ends with the image, so that none is a sliver. */
function startsOf(length: number, side: number, step: number): number[] {
  const starts = [0];
  for (let at = 0; at + side < length; ) {
    at = Math.min(at + step, length - side);
    starts.push(at);
  }
  return starts;
}

async function facesIn(pixels: Pixels, region: Box, scale: number, run: RunFaceModel): Promise<Face[]> {
  const [width, height] = [region.width, region.height].map(
    (side) => Math.max(1, Math.ceil((side * scale) / stepPixels)) * stepPixels,
  ) as [number, number];
  const tensor = await toTensor(pixels, { width, height, layout: "nchw", fit: "letterbox", region });
  const { scores, sizes, offsets } = await run(tensor);
  const columns = width / cellPixels;
  const plane = scores.length;
  const faces: Face[] = [];
  for (let cell = 0; cell < plane; cell++) {
    const score = scores[cell] ?? 0;
    if (score < faceScoreMin) continue;
    const tall = Math.exp(sizes[cell] ?? 0) * cellPixels;
    const wide = Math.exp(sizes[plane + cell] ?? 0) * cellPixels;
    const down = (Math.floor(cell / columns) + (offsets[cell] ?? 0) + 0.5) * cellPixels;
    const right = ((cell % columns) + (offsets[plane + cell] ?? 0) + 0.5) * cellPixels;
    const { x: per } = tensor.perPixel;
    faces.push({
      score,
      x: (right - wide / 2) * per + region.x,
      y: (down - tall / 2) * per + region.y,
      width: wide * per,
      height: tall * per,
    });
  }
  return distinct(faces);
}

/** Of boxes that overlap, the surest. */
function distinct(faces: readonly Face[]): Face[] {
  const kept: Face[] = [];
  for (const face of [...faces].sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(face, other) <= overlapMax)) kept.push(face);
  }
  return kept;
}

function overlap(a: Box, b: Box): number {
  const both = shared(a, b);
  return both / (a.width * a.height + b.width * b.height - both);
}

/** Pixels that two boxes have in common. */
function shared(a: Box, b: Box): number {
  const along = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  return along <= 0 || down <= 0 ? 0 : along * down;
}
