import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import type { FaceModelLocation } from "../face-model.js";

const located = z.object({ name: z.string(), modelsDirectory: z.string(), manifestPath: z.string() });
const root = fileURLToPath(new URL("../../../../../", import.meta.url));

/**
 * The real face model, fetched when the cache has none. A service may not import the CLI, so this runs the
 * CLI's program, which alone knows where the cache is; it needs `cli` to be built.
 */
export async function faceModel(): Promise<FaceModelLocation> {
  const program = [`${root}/cli/dist/models/pull-main.js`, "face-detection"];
  const { stdout } = await promisify(execFile)(process.execPath, program, { cwd: root });
  const { name, modelsDirectory, manifestPath } = located.parse(JSON.parse(stdout));
  return { name, manifestPath, directory: modelsDirectory };
}
