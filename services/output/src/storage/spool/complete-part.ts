import { basename } from "node:path";
import { CodedError } from "@millrace/errors";
import type { Disk } from "./disk.js";
import { discardedOf, type Journal, type Seal, type SpoolHeader } from "./journal.js";
import type { Layout } from "./layout.js";
import { hashFile, liveEntries, publishPart, retireSpool, writeManifest } from "./part.js";

interface Context {
  disk: Disk;
  layout: Layout;
  now: () => number;
}

/**
 * Finishes a spool whose journal has a seal, wherever `publishPart` was left:
 *
 *   part visible | bytes in .spool | what was going on             | what is done
 *   no           | yes, as sealed  | nothing or a manifest renamed | everything
 *   no           | yes, but other  | the disk damaged them         | `reopen`: verify entry by entry
 *   yes          | no              | the journal was not moved yet | the rest
 *   yes          | yes             | half a rename                 | the rest, if the part is as sealed
 *   no           | no              | a reader took the part        | the rest; `vanished`
 */
export async function completePart(
  { disk, layout, now }: Context,
  found: { inSpool: ReadonlySet<string>; visible: ReadonlySet<string> },
  { number, journal, seal }: { number: number; journal: Journal; seal: Seal },
): Promise<"completed" | "vanished" | "reopen"> {
  const header = journal.header ?? lostHeader(layout, number, now());
  const entries = liveEntries(journal.entries, discardedOf(journal.discards));
  const source = seal.compacted ? layout.compact(number) : layout.data(number);
  const hasSource = isIn(found.inSpool, source);
  if (isIn(found.visible, layout.part(number, seal.day))) {
    if (hasSource) {
      if (!(await matches(disk, layout.part(number, seal.day), seal)))
        throw nameTaken(layout.partName(number, seal.day));
      await disk.unlink(source);
    }
    if (!isIn(found.visible, layout.manifest(number, seal.day))) {
      await writeManifest(disk, layout, { header, entries, seal });
      await disk.rename(layout.manifestTemp(number), layout.manifest(number, seal.day));
    }
    await disk.fsyncDir(layout.partDir(seal.day));
    await retireSpool({ disk, layout }, number, seal);
    return "completed";
  }
  if (hasSource) {
    if (!(await matches(disk, source, seal))) return "reopen";
    await writeManifest(disk, layout, { header, entries, seal });
    await publishPart({ disk, layout }, number, seal);
    return "completed";
  }
  if (isIn(found.inSpool, layout.data(number))) return "reopen";
  await retireSpool({ disk, layout }, number, seal);
  return "vanished";
}

/** True where a file has the size and hash of a seal. */
async function matches(disk: Disk, path: string, seal: Seal): Promise<boolean> {
  const file = await disk.open(path, "existing");
  try {
    if ((await file.size()) !== seal.bytes) return false;
    return (await hashFile(file, seal.bytes)) === seal.blake3;
  } finally {
    await file.close();
  }
}

/**
 * Stands in for a damaged first line: entries do not need it, and a spool of unknown format is never appended
 * to.
 */
export function lostHeader(layout: Layout, number: number, nowMs: number): SpoolHeader {
  return { version: 1, writer: layout.writer, number, format: "unknown", openedMs: nowMs };
}

export function isIn(names: ReadonlySet<string>, path: string): boolean {
  return names.has(basename(path));
}

function nameTaken(field: string): CodedError {
  return new CodedError("failed_precondition", "recover storage: two different files claim to be one part", {
    field,
    remedy: "Move the visible part away; the one in .spool is published at the next start.",
  });
}
