import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import type { TextModelLocation } from "./text-model.js";

const located = z.object({ name: z.string(), modelsDirectory: z.string(), manifestPath: z.string() });
const root = fileURLToPath(new URL("../../../../", import.meta.url));

/**
 * The real text model, or that of another task or name, for tests: fetched when the cache has none. A service
 * may not import the CLI, so this runs the CLI's program, which alone knows where the cache is.
 * It needs `cli` to be built.
 */
export async function fixtureModel(...wanted: [string?]): Promise<TextModelLocation> {
  const program = `${root}/cli/dist/models/pull-main.js`;
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [program, ...wanted.flatMap((each) => each ?? [])],
    { cwd: root },
  );
  return located.parse(JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? ""));
}
