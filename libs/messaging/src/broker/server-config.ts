import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { assert } from "@millrace/errors";
import { limits } from "@millrace/envelope";
import type { TlsFiles } from "@millrace/runtime";
import { createUser, fromSeed } from "@nats-io/nkeys";
import { adminUser, brokerUsers, type Permissions, permissionTable } from "./permissions.js";

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
  /** How the broker knows its users. */
  users: UserKeys | "certificates";
  /** Its own certificate; users that are known by certificates need one of this CA. */
  tls?: TlsFiles;
  pidFile?: string;
  portsDir?: string;
}

/** A user as nats-server's `authorization.users` has it. */
export type UserEntry = { permissions: Permissions } & ({ nkey: string } | { user: string });

/**
 * The permission table for any nats-server, external ones too. Known by certificates, a user is one whose
 * certificate has its name among its DNS names, which needs `tls.verify_and_map`.
 */
export function userEntries(users: UserKeys | "certificates"): UserEntry[] {
  const table = Object.entries(permissionTable());
  if (users === "certificates") return table.map(([user, permissions]) => ({ user, permissions }));
  return table.map(([user, permissions]) => {
    const nkey = users.get(user);
    assert(nkey !== undefined, `${user} has a key`);
    return { nkey, permissions };
  });
}

/**
 * A nats-server configuration for one machine: loopback, one user per service from the permission table,
 * every acknowledged write synced. JSON is valid in its configuration language.
 */
export function renderServerConfig(options: ServerConfigOptions): string {
  const { tls } = options;
  assert(options.users !== "certificates" || tls !== undefined, "certificates need TLS");
  const config = {
    server_name: "millrace-local",
    host: options.host,
    port: options.port === 0 ? -1 : options.port,
    http: `127.0.0.1:${options.monitorPort === 0 ? -1 : options.monitorPort}`,
    ...(options.pidFile === undefined ? {} : { pid_file: options.pidFile }),
    ...(options.portsDir === undefined ? {} : { ports_file_dir: options.portsDir }),
    ...(tls === undefined ? {} : { tls: serverTls(tls, options.users === "certificates") }),
    max_payload: limits.busBytesMax,
    // Acks of a window of large batches may pile up for a slow reader before it is cut.
    max_pending: 256 * 1024 * 1024,
    write_deadline: "10s",
    jetstream: {
      store_dir: options.storeDir,
      max_file_store: options.storeBytes,
      max_memory_store: 64 * 1024 * 1024,
      sync_interval: "always",
    },
    authorization: { users: userEntries(options.users) },
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

function serverTls({ certFile, keyFile, caFile }: TlsFiles, mapsUsers: boolean) {
  return {
    cert_file: certFile,
    key_file: keyFile,
    ca_file: caFile,
    ...(mapsUsers ? { verify_and_map: true } : {}),
  };
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
