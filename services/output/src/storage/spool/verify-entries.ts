import { join } from "node:path";
import { crc32 } from "@millrace/files";
import { type Disk, type DiskFile, readFully, writeFileSynced } from "./disk.js";
import type { JournalEntry } from "./journal.js";
import type { Layout } from "./layout.js";

/** Checks every entry's bytes against its checksum, in the order in which they lie. */
export async function verifyEntries(
  data: DiskFile,
  entries: readonly JournalEntry[],
): Promise<{ entries: JournalEntry[]; damaged: JournalEntry[] }> {
  const whole: JournalEntry[] = [];
  const damaged: JournalEntry[] = [];
  const size = await data.size();
  let reached = 0;
  for (const entry of entries) {
    // A second line for bytes that an entry has already claimed says nothing new.
    if (entry.offset < reached) continue;
    const bytes =
      entry.offset + entry.length > size ? undefined : await readFully(data, entry.length, entry.offset);
    if (bytes === undefined || crc32(bytes) !== entry.crc32) {
      damaged.push(entry);
      continue;
    }
    whole.push(entry);
    reached = entry.offset + entry.length;
  }
  return { entries: whole, damaged };
}

interface Range {
  offset: number;
  length: number;
}

/** Bytes of a spool that lie in none of its entries. */
export function unclaimedRanges(entries: readonly JournalEntry[], size: number): Range[] {
  const ranges: Range[] = [];
  let reached = 0;
  for (const { offset, length } of [...entries, { offset: size, length: 0 }]) {
    if (offset > reached) ranges.push({ offset: reached, length: offset - reached });
    reached = Math.max(reached, offset + length);
  }
  return ranges;
}

interface Place {
  disk: Disk;
  layout: Layout;
  number: number;
}

/** Copies a range, or what is there of it, to where a person can look at it; lasting when it resolves. */
export async function quarantine(
  { disk, layout, number }: Place,
  data: DiskFile,
  range: Range,
): Promise<string> {
  const copy = join(layout.quarantineDir, `${layout.writer}-${number}-${range.offset}.bytes`);
  const length = Math.max(0, Math.min(range.length, (await data.size()) - range.offset));
  await writeFileSynced(disk, copy, await readFully(data, length, range.offset));
  await disk.fsyncDir(layout.quarantineDir);
  return copy;
}

export async function quarantineJournal({ disk, layout, number }: Place, bytes: Uint8Array): Promise<string> {
  const copy = join(layout.quarantineDir, `${layout.writer}-${number}.journal`);
  await writeFileSynced(disk, copy, bytes);
  await disk.fsyncDir(layout.quarantineDir);
  return copy;
}
