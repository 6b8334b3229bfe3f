import { createHash } from "node:crypto";

/** What the file system says of a file that stays when it is renamed or appended to. */
export interface FileIdentity {
  device: bigint;
  inode: bigint;
  /** Nanoseconds since the epoch; 0 where the file system keeps no birth time. */
  birthtimeNs: bigint;
}

/**
 * What tells a file from others while it lives: the first 128 bits of a SHA-256, as 32 hex digits. A rename
 * keeps it; a new file under an old name has another one. Which life of the file it is, and so the key under
 * which it is a source past ingestion, is told by what it begins with: see file-life.ts.
 *
 * Limits: remounting may change the device number, and restoring a file from a backup makes it a new file:
 * both are read again from the start. On kernels whose statx is blocked, Node reports the time of the last
 * change as birth time, and each append makes a new source: run where statx works.
 */
export function fileId(owner: { tenant: string; stream: string }, identity: FileIdentity): string {
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
