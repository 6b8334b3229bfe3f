import { createContentHash, writeAll } from "@millrace/files";
import { createIntervalSet, type Interval, type IntervalSet } from "@millrace/envelope";
import { type Disk, type DiskFile, readFully, writeFileSynced } from "./disk.js";
import { type JournalEntry, liveRows, type Seal, type SpoolHeader } from "./journal.js";
import type { Layout } from "./layout.js";

const readBytes = 1024 * 1024;

/** What lies beside a part; times are RFC 3339, intervals [from, to) pairs of source positions. */
export interface Manifest {
  file: string;
  messages: number;
  bytes: number;
  /** Of the file, 64 hex digits: what `b3sum` says. */
  blake3: string;
  format: string;
  sources: { source: string; intervals: [number, number][]; messages: number }[];
  opened: string;
  closed: string;
}

export interface Part {
  number: number;
  manifest: Manifest;
  seal: Seal;
  /** It holds ids that a client gave, so its journal is needed for a while. */
  hasKeys: boolean;
}

export interface StoredEntry {
  source: string;
  intervals: Interval[];
  messages: number;
}

/** Sums entries by source: what a manifest lists, and what a ledger is caught up with. Sorted by source. */
export function sumBySource(entries: Iterable<StoredEntry>): StoredEntry[] {
  const bySource = new Map<string, { set: IntervalSet; messages: number }>();
  for (const entry of entries) {
    const sum = bySource.get(entry.source) ?? { set: createIntervalSet(), messages: 0 };
    sum.set.addAll(entry.intervals);
    sum.messages += entry.messages;
    bySource.set(entry.source, sum);
  }
  return [...bySource]
    .map(([source, { set, messages }]) => ({ source, intervals: set.intervals(), messages }))
    .sort((left, right) => (left.source < right.source ? -1 : 1));
}

/** The entries without their discarded rows; entries that have none left are gone. */
export function liveEntries(
  entries: readonly JournalEntry[],
  discarded: ReadonlyMap<string, IntervalSet>,
): StoredEntry[] {
  return entries
    .map((entry) => {
      const { intervals, messages } = liveRows(entry, discarded);
      return { source: entry.source, intervals, messages };
    })
    .filter((entry) => entry.messages > 0);
}

/**
 * True where the entries fill the spool from its first byte to `end`, so that the file can be published as it
 * is.
 */
export function isSeamless(
  entries: readonly JournalEntry[],
  end: number,
  discarded: ReadonlyMap<string, IntervalSet>,
): boolean {
  let reached = 0;
  for (const entry of entries) {
    if (entry.offset !== reached || liveRows(entry, discarded).rows !== undefined) return false;
    reached += entry.length;
  }
  return reached === end;
}

export interface LiveRowsOf {
  from: DiskFile;
  entries: readonly JournalEntry[];
  discarded: ReadonlyMap<string, IntervalSet>;
}

/** The lines of a spool that are to become visible, an entry at a time. */
export async function* readLiveRows({ from, entries, discarded }: LiveRowsOf): AsyncGenerator<Uint8Array[]> {
  for (const entry of entries) {
    const { rows } = liveRows(entry, discarded);
    const whole = await readFully(from, entry.length, entry.offset);
    yield rows === undefined ? [whole] : keepLines(whole, rows);
  }
}

/** Copies the live rows of a spool into a file of their own, synced. */
export async function compactSpool(
  disk: Disk,
  of: LiveRowsOf & { to: string },
): Promise<{ bytes: number; blake3: string }> {
  const { to } = of;
  const hash = createContentHash();
  await disk.unlink(to);
  const target = await disk.open(to, "create");
  try {
    let bytes = 0;
    for await (const kept of readLiveRows(of)) {
      for (const piece of kept) hash.add(piece);
      await writeAll(target, kept, bytes);
      bytes += kept.reduce((sum, piece) => sum + piece.byteLength, 0);
    }
    await target.fdatasync();
    return { bytes, blake3: hash.hex() };
  } finally {
    await target.close();
  }
}

/** The hash of a file's first bytes, read piece by piece. Errors: `data_loss` where there are fewer. */
export async function hashFile(file: DiskFile, bytes: number): Promise<string> {
  const hash = createContentHash();
  for (let at = 0; at < bytes; at += readBytes) {
    hash.add(await readFully(file, Math.min(readBytes, bytes - at), at));
  }
  return hash.hex();
}

function keepLines(bytes: Uint8Array, rows: ReadonlySet<number>): Uint8Array[] {
  const kept: Uint8Array[] = [];
  for (let row = 0, start = 0; start < bytes.byteLength; row += 1) {
    const end = bytes.indexOf(0x0a, start) + 1 || bytes.byteLength;
    if (rows.has(row)) kept.push(bytes.subarray(start, end));
    start = end;
  }
  return kept;
}

interface Place {
  disk: Disk;
  layout: Layout;
}

export interface PartOf {
  header: SpoolHeader;
  /** Live entries only. */
  entries: readonly StoredEntry[];
  seal: Seal;
}

/**
 * Writes the manifest under a temporary name: what can fail for want of space fails before anything is
 * sealed.
 */
export async function writeManifest(
  disk: Disk,
  layout: Layout,
  { header, entries, seal }: PartOf,
): Promise<Manifest> {
  const sources = sumBySource(entries);
  const manifest: Manifest = {
    file: layout.partName(header.number, seal.day),
    messages: sources.reduce((sum, { messages }) => sum + messages, 0),
    bytes: seal.bytes,
    blake3: seal.blake3,
    format: header.format,
    sources: sources.map(({ source, intervals, messages }) => ({
      source,
      intervals: intervals.map(({ from, to }) => [from, to]),
      messages,
    })),
    opened: new Date(header.openedMs).toISOString(),
    closed: new Date(seal.closedMs).toISOString(),
  };
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  await writeFileSynced(disk, layout.manifestTemp(header.number), Buffer.from(text));
  return manifest;
}

/**
 * Makes a sealed spool visible. Each step may be the last one before a crash; recovery begins again at the
 * first one that is not done:
 *
 *   manifest.tmp → manifest.json   (sync)   a manifest without its part announces nothing
 *   .data or .compact → the part   (sync)   the part is visible, whole, with its manifest beside it
 *   .data is removed, if the part was .compact
 *   .journal → done/               (sync)   nothing is left to recover
 */
export async function publishPart({ disk, layout }: Place, number: number, seal: Seal): Promise<void> {
  const { day, compacted } = seal;
  const dir = layout.partDir(day);
  // There since before the seal, unless somebody removed it while it was empty.
  await disk.makeDirectory(dir);
  await disk.rename(layout.manifestTemp(number), layout.manifest(number, day));
  await disk.fsyncDir(dir);
  await disk.rename(compacted ? layout.compact(number) : layout.data(number), layout.part(number, day));
  await disk.fsyncDir(dir);
  await retireSpool({ disk, layout }, number, seal);
}

/** The steps of `publishPart` after the part became visible. */
export async function retireSpool({ disk, layout }: Place, number: number, seal: Seal): Promise<void> {
  if (seal.compacted) await disk.unlink(layout.data(number));
  await disk.fsyncDir(layout.spoolDir);
  await disk.rename(layout.journal(number), layout.done(number, seal.closedMs));
  await disk.fsyncDir(layout.doneDir);
  await disk.fsyncDir(layout.spoolDir);
}
