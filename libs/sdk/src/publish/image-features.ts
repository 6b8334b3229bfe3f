import type { ImageFeatures as WireFeatures } from "@millrace/proto/message";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkBoolean, checkKeys, place } from "../units/checks.js";

/** What is looked for in an image. What is not named is as the stream's enrichments say. */
export interface ImageFeatures {
  /** Things and where they are: `message.objects`. */
  objectDetection?: boolean;
  /** What it shows as a whole: `message.scene`. */
  sceneAnalysis?: boolean;
  /** Only false, which it is anyway: nothing is ever derived of a face; privacy blurs it. */
  faceDetection?: false;
}

const keys = ["objectDetection", "sceneAnalysis", "faceDetection"] as const;

export function toImageFeatures(
  features: ImageFeatures | undefined,
  field: string,
): WireFeatures | undefined {
  if (features === undefined) return undefined;
  checkKeys(features, keys, field);
  const { objectDetection, sceneAnalysis } = features;
  const faceDetection: unknown = features.faceDetection;
  if (objectDetection !== undefined) checkBoolean(objectDetection, place(field, "objectDetection"));
  if (sceneAnalysis !== undefined) checkBoolean(sceneAnalysis, place(field, "sceneAnalysis"));
  if (faceDetection !== undefined && faceDetection !== false) {
    const remedy = "Leave it out: faces are blurred before anything else sees the image.";
    throw invalidArgument(place(field, "faceDetection"), "is on, and no face is ever analysed", remedy);
  }
  return {
    ...(objectDetection !== undefined && { objectDetection }),
    ...(sceneAnalysis !== undefined && { sceneAnalysis }),
  };
}
