import { type Pixels, toTensor } from "@millrace/images";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { readEntry } from "../model/manifest-entry.js";
import {
  type ImageModelInfo,
  type ImageModelsLocation,
  type ObjectEntry,
  objectEntry,
  objectLabels,
} from "./image-entry.js";
import { infoOf, numbersOf, openSession, readLabels } from "./image-session.js";
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
  /** The likeliest first. Blocks its thread while the model runs, about 20 ms. */
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
  const anchors = anchorsOf(entry.io.size);
  return {
    info: infoOf(entry),
    find: (pixels) => find(pixels, { entry, labels, session, anchors }),
    close: () => session.release(),
  };
}

interface Loaded {
  entry: ObjectEntry;
  labels: readonly string[];
  session: InferenceSession;
  anchors: readonly Anchor[];
}

async function find(pixels: Pixels, { entry, labels, session, anchors }: Loaded): Promise<FoundObject[]> {
  const { size, mean, deviation, threshold, input, outputs } = entry.io;
  // Stretched, as it was trained.
  const tensor = await toTensor(pixels, {
    width: size,
    height: size,
    layout: "nchw",
    fit: "stretch",
    mean,
    deviation,
  });
  const answer = await session.run({ [input]: new Tensor("float32", tensor.data, tensor.shape) });
  const [boxes, scores] = [numbersOf(answer, outputs.boxes), numbersOf(answer, outputs.scores)];
  const found: FoundObject[] = [];
  // A score is a logit: compared as such, most of them cost no exponential.
  const least = Math.log(threshold / (1 - threshold));
  for (const [at, anchor] of anchors.entries()) {
    for (let kind = 1; kind < labels.length; kind++) {
      const logit = scores[at * labels.length + kind] ?? Number.NEGATIVE_INFINITY;
      if (logit < least) continue;
      const box = boxAt(boxes.subarray(4 * at, 4 * at + 4), anchor);
      const score = 1 / (1 + Math.exp(-logit));
      found.push({ label: labels[kind] ?? "", score, ...inPixels(box, pixels) });
    }
  }
  return distinct(found).slice(0, objectsMax);
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
