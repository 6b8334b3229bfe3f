import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import {
  cacheDir,
  manifestPath,
  obtainNatsServer,
  resolveImageModels,
  resolveTextModel,
} from "@millrace/cli/local";
import { CodedError } from "@millrace/errors";

/** The built workspace: this file is test/dist/system/supplies.js in it. */
export const workspace = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");

/** What lies in the cache, or is fetched as `npm start` does. */
export interface Supplies {
  natsServerPath: string;
  model: { manifestPath: string; directory: string; name: string; dimensions: number };
}

export async function obtainSupplies({
  log = () => undefined,
  signal,
}: {
  log?: (line: string) => void;
  signal?: AbortSignal;
} = {}): Promise<Supplies> {
  const request = {
    cacheDir: cacheDir(workspace, process.env),
    log,
    ...(signal === undefined ? {} : { signal }),
  };
  // A broker that somebody else runs is not what is tested or measured.
  const server = await obtainNatsServer({ ...request, env: { ...process.env, NATS_URL: "" } });
  if (!("path" in server)) throw new CodedError("internal", "nats-server was given by a URL");
  const models = { ...request, manifestPath: manifestPath(workspace) };
  const pulled = await resolveTextModel(models);
  await resolveImageModels(models);
  const manifest = JSON.parse(readFileSync(pulled.manifestPath, "utf8")) as {
    models: { name: string; io: { dimensions: number } }[];
  };
  return {
    natsServerPath: server.path,
    model: {
      manifestPath: pulled.manifestPath,
      directory: pulled.modelsDirectory,
      name: pulled.name,
      // Of the vectors that it makes.
      dimensions: manifest.models.find(({ name }) => name === pulled.name)?.io.dimensions ?? 0,
    },
  };
}
