import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "@millrace/errors";
import { createUser, fromSeed } from "@nats-io/nkeys";
import {
  adminUser,
  brokerUsers,
  type Permissions,
  permissionsOf,
  permissionsOfAdmin,
} from "./permissions.js";

/** Public keys by user name. */
export type UserKeys = ReadonlyMap<string, string>;

export interface ServerConfigOptions {
  host: string;
  /** 0: the server picks one. */
  port: number;
  monitorPort: number;
  storeDir: string;
  /** Bytes of disk that JetStream may fill. */
  storeBytes: number;
  keys: UserKeys;
  pidFile?: string;
  portsDir?: string;
}

/**
 * A nats-server configuration for one machine: loopback, one user per service from the permission table,
 * every acknowledged write synced. JSON is valid in its configuration language.
 */
export function renderServerConfig(options: ServerConfigOptions): string {
  const users = [...options.keys].map(([user, nkey]) => ({ nkey, permissions: rules(user) }));
  const config = {
    server_name: "millrace-local",
    host: options.host,
    port: options.port === 0 ? -1 : options.port,
    http: `127.0.0.1:${options.monitorPort === 0 ? -1 : options.monitorPort}`,
    ...(options.pidFile === undefined ? {} : { pid_file: options.pidFile }),
    ...(options.portsDir === undefined ? {} : { ports_file_dir: options.portsDir }),
    max_payload: 1024 * 1024,
    // Acks of a window of large batches may pile up for a slow reader before it is cut.
    max_pending: 256 * 1024 * 1024,
    write_deadline: "10s",
    jetstream: {
      store_dir: options.storeDir,
      max_file_store: options.storeBytes,
      max_memory_store: 64 * 1024 * 1024,
      sync_interval: "always",
    },
    authorization: { users },
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

function rules(user: string): Permissions {
  if (user === adminUser) return permissionsOfAdmin();
  const known = brokerUsers.find((name) => name === user);
  // An empty list would mean "anything" to the server.
  assert(known !== undefined, `${user} is in the permission table`);
  return permissionsOf(known);
}

/** Path of a user's nkey seed. */
export function seedFile(dir: string, user: string): string {
  return join(dir, `${user}.nk`);
}

/** Makes a key for each user that has none, readable by the owner only, and returns the public ones. */
export async function ensureUserKeys(dir: string): Promise<UserKeys> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const keys = new Map<string, string>();
  for (const user of [adminUser, ...brokerUsers]) {
    const path = seedFile(dir, user);
    let seed = await readFile(path).catch(() => undefined);
    if (seed === undefined) {
      seed = Buffer.from(createUser().getSeed());
      await writeFile(path, seed, { mode: 0o600 });
    }
    keys.set(user, fromSeed(seed).getPublicKey());
  }
  return keys;
}
