import { z } from "zod";
import { modelName, relativePath, sha256, verifiedFile } from "../model/manifest-entry.js";

/** What all models for images say about their use in `models/manifest.json`. */
const common = {
  name: modelName,
  files: z.array(z.object({ to: relativePath, sha256 })),
  /** Beside the manifest: the name of each class. */
  labels: verifiedFile,
};
const io = {
  model: relativePath,
  input: z.string(),
  /** Of the square that the model reads, in pixels. */
  size: z.int().min(32).max(1024),
  /** A value is (byte − mean) / deviation. */
  mean: z.number(),
  deviation: z.number().positive(),
  /** What scores less is not told. */
  threshold: z.number().min(0).max(1),
};

export const objectEntry = z.object({
  ...common,
  task: z.literal("object-detection"),
  /** Fetched only where it is named. */
  optIn: z.boolean().default(false),
  io: z.discriminatedUnion("kind", [
    z.object({
      ...io,
      kind: z.literal("ssd"),
      outputs: z.object({ boxes: z.string(), scores: z.string() }),
    }),
    z.object({
      ...io,
      kind: z.literal("centernet"),
      outputs: z.object({ centres: z.string(), sides: z.string() }),
    }),
  ]),
});

export const sceneEntry = z.object({
  ...common,
  task: z.literal("scene-classification"),
  io: z.object({
    ...io,
    kind: z.literal("classifier"),
    output: z.string(),
    /** The image's shorter side is brought to this before the middle is cut out. */
    scaled: z.int().min(32).max(1024),
  }),
});

export type ObjectEntry = z.infer<typeof objectEntry>;
export type SceneEntry = z.infer<typeof sceneEntry>;

/** Names of the classes of a detector, by number; the first one stands for nothing. */
export const objectLabels = z.object({ labels: z.array(z.string()).min(2) });

/** Coarse labels and the classes that each stands for, as [first, last]; others stand for nothing. */
export const sceneLabels = z.object({
  classes: z.int().min(1),
  labels: z.record(z.string(), z.array(z.tuple([z.int().min(0), z.int().min(0)]))),
});

/** Where the models for images are, and which of them may be used. */
export interface ImageModelsLocation {
  /** Path of `models/manifest.json`. */
  manifestPath: string;
  /** The directory with one folder a model. */
  modelsDirectory: string;
  /** Their names in the manifest. */
  objects: string;
  scene: string;
}

export interface ImageModelInfo {
  name: string;
  /** Of the ONNX file. */
  sha256: string;
}

/** As the service's config has them. */
export function imageModelsOf({
  models: { manifestPath, directory, objects, scene },
}: {
  models: { manifestPath: string; directory: string; objects: string; scene: string };
}): ImageModelsLocation {
  return { manifestPath, modelsDirectory: directory, objects, scene };
}
