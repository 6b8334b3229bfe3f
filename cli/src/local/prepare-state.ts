import { randomBytes } from "node:crypto";
import { mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureUserKeys, renderServerConfig, type ServiceUser, serviceUsers } from "@millrace/messaging";
import { type LocalSystem, pseudonymKeyFile, renderServiceConfigs } from "./service-configs.js";

/** Bytes of disk that the local broker may fill. */
const storeBytes = 8 * 1024 ** 3;

/** How much of it Millrace's streams may take: our limits trip before the broker's. */
export const streamBytes = Math.floor(storeBytes * 0.9);

/** Empties what was kept, but not the logs. The caller holds the state's lock. */
export async function resetState(stateDir: string): Promise<void> {
  for (const name of ["data", "nats", "config", "keys"])
    await rm(join(stateDir, name), { recursive: true, force: true });
}

export interface PreparedState {
  brokerConfig: string;
  serviceConfigs: Record<ServiceUser, string>;
}

/** Writes keys that are missing, and the configuration of the broker and of each service. */
export async function prepareState(system: LocalSystem): Promise<PreparedState> {
  const { stateDir, ports } = system;
  const configDir = join(stateDir, "config");
  await mkdir(configDir, { recursive: true });
  const brokerConfig = join(configDir, "nats-server.conf");
  if (system.keysDir !== undefined) {
    const config = renderServerConfig({
      host: "127.0.0.1",
      port: ports.nats,
      monitorPort: ports.natsMonitor,
      storeDir: join(stateDir, "nats"),
      storeBytes,
      users: await ensureUserKeys(system.keysDir),
    });
    await writeFile(brokerConfig, config, { mode: 0o600 });
  }
  await ensureKey(pseudonymKeyFile(stateDir));
  const configs = renderServiceConfigs(system);
  const paths = serviceUsers.map(async (name): Promise<[ServiceUser, string]> => {
    const path = join(configDir, `${name}.json`);
    await writeFile(path, `${JSON.stringify(configs[name], undefined, 2)}\n`, { mode: 0o600 });
    return [name, path];
  });
  return {
    brokerConfig,
    serviceConfigs: Object.fromEntries(await Promise.all(paths)) as Record<ServiceUser, string>,
  };
}

/** A key that changed would give everybody another pseudonym, so one that exists is kept. */
async function ensureKey(path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const exists = await stat(path).then(
    () => true,
    () => false,
  );
  if (!exists) await writeFile(path, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
}
