import { join } from "node:path";
import { createIntervalSet, type Interval } from "@millrace/envelope";
import { isSystemError } from "@millrace/files";
import type { Disk } from "./disk.js";
import { discardedOf, parseJournal } from "./journal.js";
import type { Layout } from "./layout.js";

/** Positions of a source that other writers have committed to spools which they have not finished yet. */
export async function committedByOthers(
  { disk, layout }: { disk: Disk; layout: Layout },
  source: string,
): Promise<Interval[]> {
  const found = createIntervalSet();
  for (const name of await disk.readdir(layout.spoolDir)) {
    if (!name.endsWith(".journal") || layout.parse(name) !== undefined) continue;
    const journal = await readSynced(disk, join(layout.spoolDir, name));
    if (journal === undefined) continue;
    const { entries, discards } = parseJournal(journal);
    const discarded = discardedOf(discards).get(source);
    for (const { intervals, source: of } of entries) {
      if (of !== source) continue;
      for (const interval of intervals) found.addAll(discarded?.missing(interval) ?? [interval]);
    }
  }
  return found.intervals();
}

/** What was written and not synced could be gone after a power cut. Undefined: finished meanwhile. */
async function readSynced(disk: Disk, path: string): Promise<Uint8Array | undefined> {
  try {
    const file = await disk.open(path, "existing");
    await file.fdatasync().finally(() => file.close());
    return await disk.readFile(path);
  } catch (cause) {
    if (isSystemError(cause, "ENOENT")) return undefined;
    throw cause;
  }
}
