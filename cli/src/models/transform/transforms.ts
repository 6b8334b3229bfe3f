import { present } from "@millrace/errors";
import { efficientNetLite0 } from "./efficientnet-lite0.js";
import { onnxShapes } from "./onnx-shapes.js";
import { tfjsOnnx } from "./tfjs-onnx.js";
import { tfliteOnnx } from "./tflite-onnx.js";

/**
 * Makes a model's file from files of its package. It must give the same bytes on every machine, since the
 * manifest holds the sha256 of what comes of it; and it reads what was checked against a sha256 only.
 *
 * @param sources in the order of the manifest: `from`, then `beside`.
 * @param settings what else the manifest says of the transform.
 */
export type MakeFile = (
  sources: readonly Uint8Array[],
  settings: Readonly<Record<string, unknown>>,
) => Uint8Array;

/** By `kind` in the manifest. */
export const transforms: Readonly<Record<string, MakeFile>> = {
  "onnx-shapes": ([model = new Uint8Array()], settings) => onnxShapes(model, settings),
  "tflite-onnx": ([model = new Uint8Array()], settings) => tfliteOnnx(model, settings),
  "tfjs-onnx": tfjsOnnx,
  "efficientnet-lite0": ([weights = new Uint8Array()]) => efficientNetLite0(weights),
};

/** @param kind of a manifest that was read, and so a known one. */
export function transformOf(kind: string): MakeFile {
  return present(transforms[kind], `transform ${kind}`);
}
