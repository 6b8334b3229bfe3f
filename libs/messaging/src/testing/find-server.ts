import { accessSync, constants, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const checkout = fileURLToPath(new URL("../../../../", import.meta.url));

/**
 * The nats-server executable: NATS_SERVER_BIN, else the newest in the program cache
 * (`bin/nats-server-<version>`), else PATH. Tests never go without it: the test set-up has obtained it
 * before.
 */
export function findNatsServer(env: NodeJS.ProcessEnv = process.env): string {
  const named = env["NATS_SERVER_BIN"];
  if (named !== undefined && named !== "") return named;
  const cache = env["MILLRACE_CACHE_DIR"] || join(checkout, ".cache", "millrace");
  const cached = cachedServers(join(cache, "bin"));
  const onPath = (env["PATH"] ?? "").split(delimiter).map((dir) => join(dir, "nats-server"));
  const found = [...cached, ...onPath].find(isExecutable);
  if (found === undefined) {
    throw new Error(`no nats-server in ${cache}/bin or on PATH: run npm test once, which obtains it`);
  }
  return found;
}

function cachedServers(dir: string): string[] {
  try {
    const names = readdirSync(dir).filter((name) => /^nats-server-\d+\.\d+\.\d+$/.test(name));
    const newestFirst = names.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
    return newestFirst.map((name) => join(dir, name));
  } catch {
    return [];
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
