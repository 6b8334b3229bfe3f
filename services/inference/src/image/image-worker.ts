/**
 * The thread of the models for images: decoding and `run` block it. A model is loaded when the first image
 * asks for it. Messages:
 *
 *   pool ──look{id, image, wish}──► worker ──seen{id, objects, scene} | refused{id, error}──► pool
 *   pool ──close──► worker                   ends after the image in work
 *
 * The main export is a type: this file is the entry of a worker and is only run.
 */
import { parentPort, workerData } from "node:worker_threads";
import { type Code, CodedError, present } from "@millrace/errors";
import { decodeImage } from "@millrace/images";
import type { ImageModelInfo, ImageModelsLocation } from "./image-entry.js";
import { type FoundObject, loadObjectModel, type ObjectModel } from "./object-model.js";
import { loadSceneModel, type SceneModel, type SeenScene } from "./scene-model.js";

export interface LookJob {
  type: "look";
  id: number;
  image: Uint8Array;
  objects: boolean;
  scene: boolean;
  /** Privacy found a face in it. */
  hasFace: boolean;
}

export type ToImageWorker = LookJob | { type: "close" };

/** What was found, and by which model; undefined where it was not looked for. */
export interface Seen {
  objects: { model: ImageModelInfo; found: FoundObject[] } | undefined;
  scene: { model: ImageModelInfo; label: SeenScene | undefined } | undefined;
}

export type ImageTask = "objects" | "scene";

export interface Refused {
  type: "refused";
  id: number;
  error: { code: Code; message: string; remedy: string | undefined };
  /** The model that could not be had: that is not the image's fault. */
  missing: ImageTask | undefined;
}

export type FromImageWorker = ({ type: "seen"; id: number } & Seen) | Refused;

const port = present(parentPort, "the port to the pool: image-worker.js is the entry of a worker thread and");
const location = workerData as ImageModelsLocation;
let objectModel: Promise<ObjectModel> | undefined;
let sceneModel: Promise<SceneModel> | undefined;

/** Carries which model could not be had. */
class MissingModel extends Error {
  constructor(
    readonly task: ImageTask,
    cause: unknown,
  ) {
    super("a model for images could not be loaded", { cause });
  }
}

/** Loaded once; after an error the next image tries again, since somebody may have fetched it meanwhile. */
async function objects(): Promise<ObjectModel> {
  objectModel ??= loadObjectModel(location, location.objects);
  return objectModel.catch((cause: unknown) => {
    objectModel = undefined;
    throw new MissingModel("objects", cause);
  });
}

async function scenes(): Promise<SceneModel> {
  sceneModel ??= loadSceneModel(location, location.scene);
  return sceneModel.catch((cause: unknown) => {
    sceneModel = undefined;
    throw new MissingModel("scene", cause);
  });
}

/**
 * A scene is told of no image with a person in it: what the classes say of people is their clothes, and
 * embarrassing.
 */
async function look(job: LookJob): Promise<Seen> {
  const pixels = await decodeImage(job.image);
  const asksScene = job.scene && !job.hasFace;
  const detector = job.objects || asksScene ? await objects() : undefined;
  const found = (await detector?.find(pixels)) ?? [];
  const hasPerson = found.some(({ label }) => label === "person");
  const judge = asksScene && !hasPerson ? await scenes() : undefined;
  return {
    objects: job.objects && detector !== undefined ? { model: detector.info, found } : undefined,
    scene: judge && { model: judge.info, label: await judge.judge(pixels) },
  };
}

function send(message: FromImageWorker): void {
  port.postMessage(message);
}

async function answer(job: LookJob): Promise<void> {
  try {
    send({ type: "seen", id: job.id, ...(await look(job)) });
  } catch (caught) {
    const missing = caught instanceof MissingModel ? caught : undefined;
    const { code, message, remedy } = CodedError.from(missing?.cause ?? caught, "look at an image");
    send({ type: "refused", id: job.id, error: { code, message, remedy }, missing: missing?.task });
  }
}

async function close(): Promise<void> {
  for (const model of [objectModel, sceneModel]) await (await model?.catch(() => undefined))?.close();
  port.close();
}

// One at a time and in order: `run` of a session is not meant to be entered twice.
let last = Promise.resolve();
port.on("message", (message: ToImageWorker) => {
  last = last.then(() => (message.type === "look" ? answer(message) : close()));
});
