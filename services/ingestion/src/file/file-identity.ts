import { createHash } from "node:crypto";

/** What the file system says of a file that stays when it is renamed or appended to. */
export interface FileIdentity {
  device: bigint;
  inode: bigint;
  /** Nanoseconds since the epoch; 0 where the file system keeps no birth time. */
  birthtimeNs: bigint;
}

/**
 * The opaque key under which a file is a source everywhere past ingestion: the first 128 bits of a SHA-256,
 * as 32 hex digits. A rename keeps it; a new file under an old name has another one.
 *
 * Limits: a file system without birth times may give a removed file's inode to a new one, which is then taken
 * for the old (noticed only if it is shorter). Remounting may change the device number, and restoring a file
 * from a backup makes it a new file: both are read again from the start. On kernels whose statx is blocked,
 * Node reports the time of the last change as birth time, and each append makes a new source: run where statx
 * works.
 */
export function sourceKey(owner: { tenant: string; stream: string }, identity: FileIdentity): string {
  const fields = [
    owner.tenant,
    owner.stream,
    "file",
    identity.device.toString(),
    identity.inode.toString(),
    identity.birthtimeNs.toString(),
  ];
  // A list in JSON is unambiguous whatever the names contain.
  return createHash("sha256").update(JSON.stringify(fields)).digest("hex").slice(0, 32);
}
