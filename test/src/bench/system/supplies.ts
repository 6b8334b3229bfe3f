import { readFileSync } from "node:fs";
import { cacheDir, manifestPath, obtainNatsServer, resolveTextModel } from "@millrace/cli/local";
import { CodedError } from "@millrace/errors";
import { note } from "../report.js";

/** What lies in the cache, or is fetched as `npm start` does. */
export interface Supplies {
  natsServerPath: string;
  model: { manifestPath: string; directory: string; name: string; dimensions: number };
}

export async function obtainSupplies(root: string, signal: AbortSignal): Promise<Supplies> {
  const request = { cacheDir: cacheDir(root, process.env), log: note, signal };
  // A broker that somebody else runs is not what is measured.
  const env = { ...process.env, NATS_URL: "" };
  const server = await obtainNatsServer({ ...request, env });
  if (!("path" in server)) throw new CodedError("internal", "bench: nats-server was given by a URL");
  const pulled = await resolveTextModel({ ...request, manifestPath: manifestPath(root) });
  const { models } = JSON.parse(readFileSync(pulled.manifestPath, "utf8")) as {
    models: { name: string; io: { dimensions: number } }[];
  };
  const dimensions = models.find(({ name }) => name === pulled.name)?.io.dimensions ?? 0;
  return {
    natsServerPath: server.path,
    model: {
      manifestPath: pulled.manifestPath,
      directory: pulled.modelsDirectory,
      name: pulled.name,
      dimensions,
    },
  };
}
