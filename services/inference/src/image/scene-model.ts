import { type Pixels, toTensor } from "@millrace/images";
import { type InferenceSession, Tensor } from "onnxruntime-node";
import { readEntry } from "../model/manifest-entry.js";
import {
  type ImageModelInfo,
  type ImageModelsLocation,
  type SceneEntry,
  sceneEntry,
  sceneLabels,
} from "./image-entry.js";
import { numbersOf, openSession, readLabels } from "./image-session.js";
import { infoOf } from "./image-weights.js";

/** What an image shows as a whole. */
export interface SeenScene {
  label: string;
  score: number;
}

export interface SceneModel {
  readonly info: ImageModelInfo;
  /** Undefined where nothing is likely. Blocks its thread while the model runs, about 10 ms. */
  judge(pixels: Pixels): Promise<SeenScene | undefined>;
  close(): Promise<void>;
}

export async function loadSceneModel(location: ImageModelsLocation, name: string): Promise<SceneModel> {
  const entry = await readEntry(sceneEntry, location.manifestPath, name);
  const { classes, labels } = await readLabels(sceneLabels, entry, location);
  const session = await openSession(entry, location, [entry.io.output]);
  const labelOf: (string | undefined)[] = Array.from({ length: classes }, () => undefined);
  for (const [label, ranges] of Object.entries(labels)) {
    for (const [first, last] of ranges) labelOf.fill(label, first, last + 1);
  }
  return {
    info: infoOf(entry),
    judge: async (pixels) => strongest(await classify(pixels, entry, session), labelOf, entry.io.threshold),
    close: () => session.release(),
  };
}

async function classify(
  pixels: Pixels,
  { io }: SceneEntry,
  session: InferenceSession,
): Promise<Float32Array> {
  const { size, scaled, mean, deviation, input, output } = io;
  const side = Math.min(pixels.width, pixels.height);
  // The middle of the image, as much of its shorter side as the model was trained to see.
  const seen = Math.max(1, Math.round((side * size) / scaled));
  const tensor = await toTensor(pixels, {
    width: size,
    height: size,
    layout: "nchw",
    fit: "cover",
    mean,
    deviation,
    region: {
      x: Math.floor((pixels.width - seen) / 2),
      y: Math.floor((pixels.height - seen) / 2),
      width: seen,
      height: seen,
    },
  });
  const answer = await session.run({ [input]: new Tensor("float32", tensor.data, tensor.shape) });
  return numbersOf(answer, output);
}

/** Of a thousand classes, many fine ones make a coarse label: what they have together is its score. */
function strongest(
  probabilities: Float32Array,
  labelOf: readonly (string | undefined)[],
  threshold: number,
): SeenScene | undefined {
  const scores = new Map<string, number>();
  for (const [at, probability] of probabilities.entries()) {
    const label = labelOf[at];
    if (label !== undefined) scores.set(label, (scores.get(label) ?? 0) + probability);
  }
  let best: SeenScene | undefined;
  for (const [label, score] of scores) if (score > (best?.score ?? 0)) best = { label, score };
  return best === undefined || best.score < threshold
    ? undefined
    : { ...best, score: Math.min(1, best.score) };
}
