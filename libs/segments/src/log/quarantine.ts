import { join } from "node:path";
import { limits } from "@millrace/envelope";
import { writeAll } from "@millrace/files";
import type { Disk, DiskFile } from "../disk/disk.js";
import type { Damage } from "./scan.js";

/** Files kept for somebody to look at, each at most a frame and what a torn write left before it. */
const quarantineFilesMax = 32;
const copyBytesMax = limits.bulkBytesMax + limits.columnsBytesMax;

/**
 * Copies damaged bytes aside, as `quarantine/<segment>-<offset>.frame`, before their segment is used again.
 * It is a help for people, nothing is ever read from there: where it fails, recovery goes on without.
 */
export async function quarantine(
  disk: Disk,
  { dir, file, damage }: { dir: string; file: DiskFile; damage: Damage },
): Promise<void> {
  const aside = join(dir, "quarantine");
  const name = `${damage.segment}-${damage.offset}.frame`;
  try {
    await disk.makeDirectory(aside);
    const kept = await disk.readdir(aside);
    if (kept.length >= quarantineFilesMax || kept.includes(name)) return;
    const bytes = Buffer.alloc(Math.min(damage.length, copyBytesMax));
    await file.read(bytes, damage.offset);
    const copy = await disk.open(join(aside, name), "create");
    try {
      await writeAll(copy, [bytes], 0);
    } finally {
      await copy.close();
    }
  } catch {
    // A full disk must not keep a service from starting.
  }
}
