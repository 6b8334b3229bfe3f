import { dirname, join } from "node:path";
import { CodedError, present } from "@millrace/errors";
import { InferenceSession } from "onnxruntime-node";
import type { z } from "zod";
import { readVerifiedFile } from "@millrace/files";
import type { ImageModelsLocation } from "./image-entry.js";
import { type Entry, readWeights } from "./image-weights.js";

export async function readLabels<Labels>(
  schema: z.ZodType<Labels>,
  { labels }: Entry,
  { manifestPath }: ImageModelsLocation,
): Promise<Labels> {
  const bytes = await readVerifiedFile(join(dirname(manifestPath), labels.file), labels.sha256);
  return schema.parse(JSON.parse(new TextDecoder().decode(bytes)));
}

/** One thread a session, as for texts; from bytes, so the model cannot name other files to load. */
export async function openSession(
  entry: Entry,
  location: ImageModelsLocation,
  outputs: readonly string[],
): Promise<InferenceSession> {
  const bytes = await readWeights(entry, location);
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 } as const;
  const session = await InferenceSession.create(bytes, options).catch((cause: unknown) => {
    const what = `load model ${entry.name}: it is no ONNX model that this runtime loads`;
    throw new CodedError("failed_precondition", what, { cause });
  });
  const isAsSaid =
    session.inputNames.includes(entry.io.input) &&
    outputs.every((name) => session.outputNames.includes(name));
  if (isAsSaid) return session;
  await session.release();
  throw new CodedError(
    "failed_precondition",
    `model ${entry.name} has not the input and outputs of its entry`,
  );
}

/** Of an output by name. */
export function numbersOf(answer: InferenceSession.OnnxValueMapType, name: string): Float32Array {
  const { data } = present(answer[name], `output ${name}`);
  if (data instanceof Float32Array) return data;
  throw new CodedError("failed_precondition", `output ${name} of a model is not of type float`);
}
