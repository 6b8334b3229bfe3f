import { type ContentHash, crc32, isSystemError, writeAll } from "@millrace/files";
import type { Interval, IntervalSet } from "@millrace/envelope";
import { assert, CodedError } from "@millrace/errors";
import { type Disk, type DiskFile, diskFull } from "./disk.js";
import type { Guard } from "./guard.js";
import {
  addDiscard,
  encodeDeltas,
  encodeJournalLine,
  type JournalEntry,
  type JournalLine,
} from "./journal.js";
import type { SpoolHeader } from "./journal.js";
import type { Layout } from "./layout.js";
import type { Part, StoredEntry } from "./part.js";

/** What is known of a spool's files; a recovery makes it from them. */
export interface SpoolState {
  header: SpoolHeader;
  data: DiskFile;
  journal: DiskFile;
  journalEnd: number;
  committedEnd: number;
  entries: JournalEntry[];
  discarded: Map<string, IntervalSet>;
  /** Over all bytes to the end; undefined where some were taken back: the roll reads the file then. */
  hash: ContentHash | undefined;
  hasKeys: boolean;
}

/** An entry with the ids that clients gave, 32 hex digits each, one after the other. */
export type AppendedEntry = StoredEntry & { keyed: string };

export interface SpoolAppend {
  source: string;
  /** Positions of the rows, sorted and disjoint; rows of one interval follow each other without gaps. */
  intervals: Interval[];
  messages: number;
  /** How far each row reaches in positions. Empty: 1 each. */
  deltas: Uint32Array;
  /** One line a row. */
  bytes: readonly Uint8Array[];
  /** CRC-32 of the bytes, where it is known: a fifth of a second a GB. */
  crc32?: number;
  /** Ids of rows that a client named, 32 hex digits each, one after the other. */
  keyed: string;
  /**
   * Throws `aborted` where the bytes were changed by another while they were read: they lie in a map. Asked
   * once they are written; the entry is then no entry, and the next one takes its place.
   */
  verify?: (() => void) | undefined;
}

/** A spool that is being written; see spool.ts for its states. Its guard orders the calls below. */
export interface OpenSpool extends SpoolState {
  context: SpoolContext;
  guard: Guard;
  /** Appended and not committed. */
  pending: JournalEntry[];
  /** Where the next entry goes. */
  end: number;
  /** What `seal` made of it. */
  sealed: Part | undefined;
}

export interface SpoolContext {
  disk: Disk;
  layout: Layout;
  now: () => number;
}

/** Entries that may wait for a commit: at one message an entry, more than a node receives in 20 ms by far. */
const pendingEntriesMax = 10_000;

export async function append(spool: OpenSpool, appended: SpoolAppend): Promise<void> {
  if (spool.pending.length >= pendingEntriesMax) {
    throw new CodedError("resource_exhausted", "append: too many entries wait for a commit", {
      remedy: "Commit, then append again.",
    });
  }
  const { source, intervals, messages, deltas, bytes, keyed } = appended;
  assert(messages > 0, "an entry has at least one row");
  const { data } = spool;
  const offset = spool.end;
  const { hash } = spool;
  // Until the bytes are the spool's.
  spool.hash = undefined;
  // The kernel copies on another thread what this one hashes.
  const writing = writeAll(data, bytes, offset).then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  let checksum = appended.crc32 ?? 0;
  let length = 0;
  for (const piece of bytes) {
    hash?.add(piece);
    if (appended.crc32 === undefined) checksum = crc32(piece, checksum);
    length += piece.byteLength;
  }
  const failure = await writing;
  if (failure !== undefined) {
    if (!isSystemError(failure.error, "ENOSPC")) throw failure.error;
    await data.truncate(offset);
    throw diskFull("append", failure.error);
  }
  appended.verify?.();
  spool.end = offset + length;
  spool.hash = hash;
  const placed = { offset, length, crc32: checksum, source, intervals, messages };
  spool.pending.push({ ...placed, deltas: encodeDeltas(deltas), keyed });
}

/** Appends lines to the journal, or leaves it as it was where the disk is full. */
export async function note(
  spool: OpenSpool,
  lines: readonly JournalLine[],
  attempted: string,
): Promise<void> {
  const { journal } = spool;
  const bytes = Buffer.from(lines.map(encodeJournalLine).join(""));
  try {
    await writeAll(journal, [bytes], spool.journalEnd);
  } catch (error) {
    if (!isSystemError(error, "ENOSPC")) throw error;
    await journal.truncate(spool.journalEnd);
    // Synced, so that no line that we took back can come again after a crash.
    await journal.fdatasync();
    throw diskFull(attempted, error);
  }
  await journal.fdatasync();
  spool.journalEnd += bytes.byteLength;
}

export async function commit(spool: OpenSpool): Promise<StoredEntry[]> {
  const group = spool.pending.slice();
  const last = group.at(-1);
  if (last === undefined) return [];
  await spool.data.fdatasync();
  spool.guard.check();
  await note(
    spool,
    group.map((entry) => ({ entry })),
    "commit",
  );
  spool.guard.check();
  spool.pending.splice(0, group.length);
  spool.committedEnd = last.offset + last.length;
  for (const entry of group) {
    spool.hasKeys ||= entry.keyed !== "";
    // The journal has the keys; memory need not.
    spool.entries.push({ ...entry, keyed: "" });
  }
  return group.map(stored);
}

export async function rollback(spool: OpenSpool): Promise<AppendedEntry[]> {
  if (spool.pending.length === 0) return [];
  await spool.data.truncate(spool.committedEnd);
  const gone = spool.pending.map((entry) => ({ ...stored(entry), keyed: entry.keyed }));
  spool.pending = [];
  spool.hash = undefined;
  spool.end = spool.committedEnd;
  return gone;
}

export async function discard(
  spool: OpenSpool,
  source: string,
  intervals: readonly Interval[],
): Promise<void> {
  await note(spool, [{ discard: { source, intervals: [...intervals] } }], "discard");
  addDiscard(spool.discarded, source, intervals);
}

function stored({ source, intervals, messages }: JournalEntry): StoredEntry {
  return { source, intervals, messages };
}
