import { type Pixels, toTensor } from "@millrace/images";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { readEntry } from "../model/manifest-entry.js";
import { centredThings } from "./centernet.js";
import {
  type ImageModelInfo,
  type ImageModelsLocation,
  type ObjectEntry,
  objectEntry,
  objectLabels,
} from "./image-entry.js";
import { numbersOf, openSession, readLabels } from "./image-session.js";
import { infoOf } from "./image-weights.js";
import { type Anchor, anchorsOf } from "./ssd-anchors.js";

/** A thing and the box around it, in pixels of the image. */
export interface FoundObject {
  label: string;
  score: number;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface ObjectModel {
  readonly info: ImageModelInfo;
  /** The likeliest first. Blocks its thread while the model runs, 20 to 50 ms. */
  find(pixels: Pixels): Promise<FoundObject[]>;
  close(): Promise<void>;
}

/** More are not told: a crowd has no end. */
const objectsMax = 50;
/** Two boxes of a label that share so much of their area are one thing. */
const overlapMax = 0.5;
/** How the model was trained to say how far a box is from its anchor. */
const scales = { place: 10, size: 5 };

export async function loadObjectModel(location: ImageModelsLocation, name: string): Promise<ObjectModel> {
  const entry = await readEntry(objectEntry, location.manifestPath, name);
  const { labels } = await readLabels(objectLabels, entry, location);
  const session = await openSession(entry, location, Object.values(entry.io.outputs));
  const decode = decoderOf(entry.io, labels);
  return {
    info: infoOf(entry),
    find: async (pixels) => distinct(await find(pixels, { entry, session, decode })).slice(0, objectsMax),
    close: () => session.release(),
  };
}

/** What the outputs tell; boxes as parts of the image. */
type Decode = (
  output: (name: string) => Float32Array,
  /** Of the tensor, as parts of the image along each side. */
  part: { x: number; y: number },
) => { label: string; score: number; box: Anchor }[];

interface Loaded {
  entry: ObjectEntry;
  session: InferenceSession;
  decode: Decode;
}

async function find(pixels: Pixels, { entry, session, decode }: Loaded): Promise<FoundObject[]> {
  const { kind, size, mean, deviation, input } = entry.io;
  const tensor = await toTensor(pixels, {
    width: size,
    height: size,
    layout: "nchw",
    // As each was trained.
    fit: kind === "ssd" ? "stretch" : "letterbox",
    mean,
    deviation,
  });
  const answer = await session.run({ [input]: new Tensor("float32", tensor.data, tensor.shape) });
  const part = { x: tensor.perPixel.x / pixels.width, y: tensor.perPixel.y / pixels.height };
  return decode((name) => numbersOf(answer, name), part)
    .map(({ label, score, box }) => ({ label, score, ...inPixels(box, pixels) }))
    .filter(({ width, height }) => width > 0 && height > 0);
}

function decoderOf(io: ObjectEntry["io"], labels: readonly string[]): Decode {
  const { size, threshold } = io;
  if (io.kind === "ssd") {
    const anchors = anchorsOf(size);
    return (output) =>
      aroundAnchors({ boxes: output(io.outputs.boxes), scores: output(io.outputs.scores) }, anchors, {
        labels,
        threshold,
      });
  }
  return (output, part) =>
    centredThings(
      { centres: output(io.outputs.centres), sides: output(io.outputs.sides) },
      { size, threshold },
    ).map(({ kind, score, left, top, right, bottom }) => ({
      label: labels[kind + 1] ?? "",
      score,
      box: {
        x: ((left + right) / 2) * part.x,
        y: ((top + bottom) / 2) * part.y,
        width: (right - left) * part.x,
        height: (bottom - top) * part.y,
      },
    }));
}

function aroundAnchors(
  { boxes, scores }: { boxes: Float32Array; scores: Float32Array },
  anchors: readonly Anchor[],
  { labels, threshold }: { labels: readonly string[]; threshold: number },
): ReturnType<Decode> {
  const found: ReturnType<Decode> = [];
  // A score is a logit: compared as such, most of them cost no exponential.
  const least = Math.log(threshold / (1 - threshold));
  for (const [at, anchor] of anchors.entries()) {
    for (let kind = 1; kind < labels.length; kind++) {
      const logit = scores[at * labels.length + kind] ?? Number.NEGATIVE_INFINITY;
      if (logit < least) continue;
      const box = boxAt(boxes.subarray(4 * at, 4 * at + 4), anchor);
      found.push({ label: labels[kind] ?? "", score: 1 / (1 + Math.exp(-logit)), box });
    }
  }
  return found;
}

function boxAt(code: Float32Array, anchor: Anchor): Anchor {
  const [dy = 0, dx = 0, dHeight = 0, dWidth = 0] = code;
  return {
    x: (dx / scales.place) * anchor.width + anchor.x,
    y: (dy / scales.place) * anchor.height + anchor.y,
    width: Math.exp(dWidth / scales.size) * anchor.width,
    height: Math.exp(dHeight / scales.size) * anchor.height,
  };
}

/** What of the box lies in the image, in whole pixels. */
function inPixels({ x, y, width, height }: Anchor, image: Pixels): Omit<FoundObject, "label" | "score"> {
  const within = (value: number, most: number): number => Math.round(Math.min(1, Math.max(0, value)) * most);
  const [left, right] = [within(x - width / 2, image.width), within(x + width / 2, image.width)];
  const [top, bottom] = [within(y - height / 2, image.height), within(y + height / 2, image.height)];
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Each thing once, by its likeliest box. */
function distinct(found: readonly FoundObject[]): FoundObject[] {
  const kept: FoundObject[] = [];
  for (const each of [...found].sort((a, b) => b.score - a.score)) {
    const isKnown = kept.some((other) => other.label === each.label && overlap(other, each) > overlapMax);
    if (!isKnown) kept.push(each);
  }
  return kept;
}

function overlap(a: FoundObject, b: FoundObject): number {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const shared = Math.max(0, width) * Math.max(0, height);
  const all = a.width * a.height + b.width * b.height - shared;
  return all === 0 ? 0 : shared / all;
}
