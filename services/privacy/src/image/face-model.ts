import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { CodedError, present } from "@millrace/errors";
import { readVerifiedFile } from "@millrace/files";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { z } from "zod";
import type { RunFaceModel } from "./find-faces.js";

export interface FaceModelLocation {
  manifestPath: string;
  /** Where the models' folders lie. */
  directory: string;
  name: string;
}

const faceEntry = z.object({
  name: z.string(),
  task: z.literal("face-detection"),
  files: z.array(z.object({ to: z.string(), sha256: z.string() })),
  io: z.object({
    model: z.string(),
    input: z.string(),
    outputs: z.object({ scores: z.string(), sizes: z.string(), offsets: z.string() }),
  }),
});
const manifest = z.object({ models: z.array(z.looseObject({ name: z.string() })) });

/**
 * Loads the model from bytes whose sha256 the manifest names. Landmarks, which it could give as well, are not
 * asked of it: nothing here could tell one person from another.
 *
 * @throws CodedError not_found, failed_precondition, data_loss: as reading the manifest and its file.
 */
export async function loadFaceModel({
  manifestPath,
  directory,
  name,
}: FaceModelLocation): Promise<RunFaceModel> {
  const { files, io } = await readEntry(manifestPath, name);
  const { sha256 } = present(
    files.find(({ to }) => to === io.model),
    `file ${io.model} of model ${name}`,
  );
  const bytes = await readVerifiedFile(join(directory, name, io.model), sha256);
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  const { scores, sizes, offsets } = io.outputs;
  return async ({ data, shape }) => {
    const maps = await session.run({ [io.input]: new Tensor("float32", data, shape) }, [
      scores,
      sizes,
      offsets,
    ]);
    const of = (output: string): Float32Array =>
      present(maps[output], `output ${output}`).data as Float32Array;
    return { scores: of(scores), sizes: of(sizes), offsets: of(offsets) };
  };
}

async function readEntry(path: string, name: string): Promise<z.infer<typeof faceEntry>> {
  try {
    const { models } = manifest.parse(JSON.parse(await readFile(path, "utf8")));
    return faceEntry.parse(models.find((model) => model.name === name));
  } catch (cause) {
    throw new CodedError(
      "failed_precondition",
      `face model ${name} is not in ${path}, or makes no sense there`,
      {
        field: "images.faces",
        remedy: "Name one of its models whose task is face-detection.",
        cause,
      },
    );
  }
}
