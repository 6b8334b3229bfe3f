import { basename, join } from "node:path";
import type { Interval, IntervalSet } from "@millrace/envelope";
import { type Disk, type DiskFile, writeFileSynced } from "./disk.js";
import { completePart, isIn, lostHeader } from "./complete-part.js";
import { addDiscard, discardedOf, encodeJournalLine, type Journal, type JournalEntry } from "./journal.js";
import { type JournalLine, parseJournal, type SpoolHeader } from "./journal.js";
import type { Layout } from "./layout.js";
import { liveEntries, type StoredEntry } from "./part.js";
import { resumeSpool, type Spool } from "./spool.js";
import { listVisible } from "./visible.js";
import { quarantine, quarantineJournal, unclaimedRanges, verifyEntries } from "./verify-entries.js";

/**
 * Which positions of an interval another writer has stored, by the ledger. Positions that this writer itself
 * settled must not be named: their rows would be thrown away.
 */
export type SettledElsewhere = (
  source: string,
  interval: Interval,
) => readonly Interval[] | Promise<readonly Interval[]>;

export interface Recovery {
  /** Spools that go on, oldest first. */
  spools: Spool[];
  /** No file of this writer has this number or a higher one. */
  nextNumber: number;
  /** What the spools and the parts completed just now hold; the ledger may not know of it yet. */
  entries: StoredEntry[];
  /** Ids that clients gave to messages stored in `spools`, oldest first. */
  keyed: string[];
  /** Numbers of parts that a crash had left half published. */
  completed: number[];
  /**
   * Numbers of sealed spools whose bytes are nowhere: a part that its reader took away just after the crash.
   */
  vanished: number[];
  /** Committed entries whose bytes fail their checksum. Their messages are lost; a copy is in quarantine. */
  damaged: (StoredEntry & { number: number; copy: string })[];
  /** Journal lines that fail their checksum; none in a life without power cuts and broken disks. */
  badLines: number;
  /**
   * Copies of bytes that no readable journal line claims, and of their journals, where there were such lines.
   */
  unclaimed: string[];
}

interface Context {
  disk: Disk;
  layout: Layout;
  now: () => number;
  settledElsewhere: SettledElsewhere;
}

/** Names in `.spool`, and in the stream's directory with those of its days. */
interface Found {
  inSpool: Set<string>;
  visible: Set<string>;
}

/**
 * Brings a writer's files into a state that can go on, whatever instant they were left at: finishes parts
 * that were sealed, cuts what was not committed, sets damaged bytes aside. It may crash itself and be called
 * again. Errors: the disk's; `failed_precondition` where two different files claim to be one part.
 */
export async function recoverSpools(context: Context): Promise<Recovery> {
  const { disk, layout } = context;
  await disk.makeDirectory(layout.doneDir);
  await disk.makeDirectory(layout.quarantineDir);
  const inSpool = await disk.readdir(layout.spoolDir);
  const visible = (await listVisible({ disk, layout })).map(({ name }) => name);
  const all = [...inSpool, ...visible, ...(await disk.readdir(layout.doneDir))];
  const highest = Math.max(-1, ...all.map((name) => layout.parse(name)?.number ?? -1));
  const recovery: Recovery = {
    spools: [],
    nextNumber: highest + 1,
    entries: [],
    keyed: [],
    completed: [],
    vanished: [],
    damaged: [],
    badLines: 0,
    unclaimed: [],
  };
  const found = { inSpool: new Set(inSpool), visible: new Set(visible) };
  const numbers = new Set<number>();
  for (const name of inSpool) {
    const file = layout.parse(name);
    if (file === undefined) continue;
    if (file.kind === "temp") await disk.unlink(join(layout.spoolDir, name));
    else numbers.add(file.number);
  }
  for (const number of [...numbers].sort((left, right) => left - right)) {
    await recoverNumber(context, found, { number, recovery });
  }
  return recovery;
}

interface Target {
  number: number;
  recovery: Recovery;
}

async function recoverNumber(context: Context, found: Found, target: Target): Promise<void> {
  const { disk, layout } = context;
  const { number, recovery } = target;
  if (!isIn(found.inSpool, layout.journal(number))) {
    await clearWithoutJournal(context, found, number);
    return;
  }
  const bytes = await disk.readFile(layout.journal(number));
  const journal = parseJournal(bytes);
  recovery.badLines += journal.badLines;
  if (journal.seal !== undefined) {
    const completed = await completePart(context, found, { number, journal, seal: journal.seal });
    if (completed !== "reopen") {
      recovery[completed].push(number);
      const entries = liveEntries(journal.entries, discardedOf(journal.discards));
      for (const entry of entries) recovery.entries.push(entry);
      return;
    }
    await disk.unlink(layout.manifest(number, journal.seal.day));
  }
  await disk.unlink(layout.compact(number));
  if (journal.entries.length === 0 && journal.badLines === 0) {
    await disk.unlink(layout.data(number));
    await disk.fsyncDir(layout.spoolDir);
    await disk.unlink(layout.journal(number));
    await disk.fsyncDir(layout.spoolDir);
    return;
  }
  await reopenSpool(context, found, { ...target, journal, journalBytes: bytes });
}

/**
 * A journal exists before the first byte of data does, so only a hand that removed it leaves bytes without
 * one.
 */
async function clearWithoutJournal({ disk, layout }: Context, found: Found, number: number): Promise<void> {
  await disk.unlink(layout.compact(number));
  if (!isIn(found.inSpool, layout.data(number))) return;
  const file = await disk.open(layout.data(number), "existing");
  const size = await file.size();
  await file.close();
  if (size === 0) await disk.unlink(layout.data(number));
  else await disk.rename(layout.data(number), join(layout.quarantineDir, basename(layout.data(number))));
  await disk.fsyncDir(layout.spoolDir);
}

/** Goes on with a spool that was not sealed: what is committed and whole stays, all else is cut. */
async function reopenSpool(
  context: Context,
  found: Found,
  { number, recovery, journal, journalBytes }: Target & { journal: Journal; journalBytes: Uint8Array },
): Promise<void> {
  const { disk, layout, now } = context;
  const header = journal.header ?? lostHeader(layout, number, now());
  const hasData = isIn(found.inSpool, layout.data(number));
  const discarded = discardedOf(journal.discards);
  // A spool of which no row was left is removed data first.
  if (!hasData && journal.badLines === 0 && liveEntries(journal.entries, discarded).length === 0) {
    await disk.unlink(layout.journal(number));
    return;
  }
  const data = await disk.open(layout.data(number), hasData ? "existing" : "create");
  const { entries, damaged } = await verifyEntries(data, journal.entries);
  for (const entry of damaged) {
    const copy = await quarantine({ disk, layout, number }, data, entry);
    const { source, intervals, messages } = entry;
    recovery.damaged.push({ source, intervals, messages, number, copy });
  }
  if (journal.badLines > 0) {
    recovery.unclaimed.push(await quarantineJournal({ disk, layout, number }, journalBytes));
    for (const range of unclaimedRanges(journal.entries, await data.size())) {
      recovery.unclaimed.push(await quarantine({ disk, layout, number }, data, range));
    }
  }
  const last = entries.at(-1);
  const committedEnd = last === undefined ? 0 : last.offset + last.length;
  await data.truncate(committedEnd);
  await data.fdatasync();
  const discards = [...journal.discards, ...(await newlySettled(context, entries, discarded))];
  for (const { source, intervals } of discards) addDiscard(discarded, source, intervals);
  const rewritten = encodeJournal(header, entries, discards);
  const journalFile = await replaceJournal(context, number, { old: journalBytes, rewritten });
  const live = liveEntries(entries, discarded);
  for (const entry of live) recovery.entries.push(entry);
  recovery.keyed.push(...entries.map((entry) => entry.keyed).filter((keyed) => keyed !== ""));
  const hasKeys = entries.some((entry) => entry.keyed !== "");
  const kept = entries.map((entry) => ({ ...entry, keyed: "" }));
  const files = { data, journal: journalFile, journalEnd: rewritten.byteLength, committedEnd };
  const state = { header, entries: kept, discarded, hash: undefined, hasKeys, ...files };
  recovery.spools.push(resumeSpool(context, state));
}

async function newlySettled(
  { settledElsewhere }: Context,
  entries: readonly JournalEntry[],
  discarded: ReadonlyMap<string, IntervalSet>,
): Promise<{ source: string; intervals: Interval[] }[]> {
  const discards: { source: string; intervals: Interval[] }[] = [];
  for (const { source, intervals } of entries) {
    for (const interval of intervals) {
      const settled = await settledElsewhere(source, interval);
      const known = discarded.get(source);
      const fresh = settled.flatMap((piece) => known?.missing(piece) ?? [piece]);
      if (fresh.length > 0) discards.push({ source, intervals: fresh });
    }
  }
  return discards;
}

function encodeJournal(
  header: SpoolHeader,
  entries: readonly JournalEntry[],
  discards: readonly { source: string; intervals: Interval[] }[],
): Uint8Array {
  const lines: JournalLine[] = [{ open: header }];
  for (const entry of entries) lines.push({ entry });
  for (const discard of discards) lines.push({ discard });
  return Buffer.from(lines.map(encodeJournalLine).join(""));
}

/** Puts the journal in place at once and opens it; untouched where it says the same already. */
async function replaceJournal(
  { disk, layout }: Context,
  number: number,
  { old, rewritten }: { old: Uint8Array; rewritten: Uint8Array },
): Promise<DiskFile> {
  if (Buffer.compare(old, rewritten) !== 0) {
    await writeFileSynced(disk, layout.journalTemp(number), rewritten);
    await disk.rename(layout.journalTemp(number), layout.journal(number));
    await disk.fsyncDir(layout.spoolDir);
  }
  return disk.open(layout.journal(number), "existing");
}
