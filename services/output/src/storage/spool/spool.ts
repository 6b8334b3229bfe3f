import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Interval, IntervalSet } from "@millrace/envelope";
import { assert, CodedError } from "@millrace/errors";
import { type Disk, type DiskFile, diskFull, isSystemError, writeFully } from "./disk.js";
import { createGuard } from "./guard.js";
import { addDiscard, encodeDeltas, encodeJournalLine, type JournalEntry, type JournalLine } from "./journal.js";
import type { Seal, SpoolHeader } from "./journal.js";
import type { Layout } from "./layout.js";
import { compactSpool, isSeamless, liveEntries, type Manifest, publishPart, type StoredEntry } from "./part.js";
import { writeManifest } from "./part.js";

/*
 * A spool is a file that is being written and will become a part. Bytes are appended at known offsets; a commit makes
 * all that was appended before it last, in two syncs for the whole group:
 *
 *   .data     |entry|entry|entry|entry|entry|        .journal   open entry entry entry
 *             └─── committed ───┘└ pending ─┘                   └ one line an entry, written after the
 *                               ^ committedEnd  ^ end             data's sync and synced itself
 *
 *            append         append
 *   (new) ─► open ──────────► pending ── commit ──► open ── roll ──► sealed ──► visible
 *                                 └──── rollback ──► open
 *   any write or sync that fails but for want of space ──► poisoned: every call is refused, the service has to exit.
 *   A failed sync is never tried again, since the kernel may have marked the lost pages clean (Rebello et al.,
 *   USENIX ATC 2020).
 *
 * Appends go on while a commit waits for the disk. Bytes handed to `append` are read until it resolves, not after.
 */
export interface Spool {
  readonly header: SpoolHeader;
  append(entry: SpoolAppend): Promise<void>;
  /** Makes everything appended before the call last. `resource_exhausted`: it stays pending; commit again. */
  commit(): Promise<StoredEntry[]>;
  /** Forgets what is pending and says what that was. */
  rollback(): Promise<AppendedEntry[]>;
  /** Takes committed rows out again, because another writer stored them first; lasting when it resolves. */
  discard(source: string, intervals: readonly Interval[]): Promise<void>;
  /** Publishes the spool, which has nothing pending, and ends it; undefined where no row was left. */
  roll(): Promise<Part | undefined>;
  /** Gives up the files without finishing them: recovery goes on with them. */
  close(): Promise<void>;
  pendingBytes(): number;
  pendingEntries(): number;
  /** Bytes and entries, pending ones included: what the roll policy looks at. */
  bytes(): number;
  entries(): number;
}

/** An entry with the ids that clients gave, 32 hex digits each, one after the other. */
export type AppendedEntry = StoredEntry & { keyed: string };

export interface SpoolAppend {
  source: string;
  /** Positions of the rows, sorted and disjoint; rows of one interval follow each other without gaps. */
  intervals: Interval[];
  messages: number;
  /** How far each row reaches in positions. Empty: 1 each. */
  deltas: readonly number[];
  /** One line a row. */
  bytes: readonly Uint8Array[];
  /** Ids of rows that a client named, 32 hex digits each, one after the other. */
  keyed: string;
}

export interface Part {
  number: number;
  manifest: Manifest;
  seal: Seal;
  /** It holds ids that a client gave, so its journal is needed for a while. */
  hasKeys: boolean;
}

export interface SpoolState {
  header: SpoolHeader;
  data: DiskFile;
  journal: DiskFile;
  journalEnd: number;
  committedEnd: number;
  entries: JournalEntry[];
  discarded: Map<string, IntervalSet>;
  /** Over the spool's first `committedEnd` bytes. */
  hash: Hash;
  hasKeys: boolean;
}

interface Pending {
  entry: JournalEntry;
  hashAfter: Hash;
}

interface Context {
  disk: Disk;
  layout: Layout;
  now: () => number;
}

/** Entries that may wait for a commit: at one message an entry, more than a node receives in 20 ms by far. */
const pendingEntriesMax = 10_000;

/** Begins a new spool. Errors: `resource_exhausted` (nothing is left behind), or the disk's. */
export async function createSpool(
  context: Context,
  of: { number: number; format: SpoolHeader["format"] },
): Promise<Spool> {
  const { disk, layout, now } = context;
  const { number, format } = of;
  const header: SpoolHeader = { version: 1, writer: layout.writer, number, format, openedMs: now() };
  const line = Buffer.from(encodeJournalLine({ open: header }));
  const opened: DiskFile[] = [];
  const create = async (path: string): Promise<DiskFile> => {
    const file = await disk.open(path, "create");
    opened.push(file);
    return file;
  };
  try {
    const journal = await create(layout.journal(number));
    await writeFully(journal, [line], 0);
    await journal.fdatasync();
    const data = await create(layout.data(number));
    await disk.fsyncDir(layout.spoolDir);
    const fresh = { entries: [], discarded: new Map<string, IntervalSet>(), hash: createHash("sha256") };
    const state = { header, data, journal, journalEnd: line.byteLength, committedEnd: 0, hasKeys: false, ...fresh };
    return resumeSpool(context, state);
  } catch (error) {
    for (const file of opened) await file.close();
    if (!isSystemError(error, "ENOSPC")) throw CodedError.from(error, "begin spool");
    await disk.unlink(layout.data(number));
    await disk.unlink(layout.journal(number));
    throw diskFull("begin spool", error);
  }
}

/** Goes on with a spool whose files hold exactly what the state says. */
export function resumeSpool(context: Context, state: SpoolState): Spool {
  const { disk, layout, now } = context;
  const { header, data, journal, discarded } = state;
  const guard = createGuard();
  let pending: Pending[] = [];
  let end = state.committedEnd;

  const lastHash = (): Hash => pending.at(-1)?.hashAfter ?? state.hash;

  async function append(appended: SpoolAppend): Promise<void> {
    if (pending.length >= pendingEntriesMax) {
      throw new CodedError("resource_exhausted", "append: too many entries wait for a commit", {
        remedy: "Commit, then append again.",
      });
    }
    const { source, intervals, messages, deltas, bytes, keyed } = appended;
    assert(messages > 0, "an entry has at least one row");
    const offset = end;
    const hashAfter = lastHash().copy();
    // The kernel copies on another thread what this one hashes.
    const writing = writeFully(data, bytes, offset).then(
      () => undefined,
      (error: unknown) => ({ error }),
    );
    let checksum = 0;
    let length = 0;
    for (const piece of bytes) {
      hashAfter.update(piece);
      checksum = crc32(piece, checksum);
      length += piece.byteLength;
    }
    const failure = await writing;
    if (failure !== undefined) {
      if (!isSystemError(failure.error, "ENOSPC")) throw failure.error;
      await data.truncate(offset);
      throw diskFull("append", failure.error);
    }
    end = offset + length;
    const placed = { offset, length, crc32: checksum, source, intervals, messages };
    pending.push({ entry: { ...placed, deltas: encodeDeltas(deltas), keyed }, hashAfter });
  }

  /** Appends lines to the journal, or leaves it as it was where the disk is full. */
  async function note(lines: readonly JournalLine[], attempted: string): Promise<void> {
    const bytes = Buffer.from(lines.map(encodeJournalLine).join(""));
    try {
      await writeFully(journal, [bytes], state.journalEnd);
    } catch (error) {
      if (!isSystemError(error, "ENOSPC")) throw error;
      await journal.truncate(state.journalEnd);
      // Synced, so that no line that we took back can come again after a crash.
      await journal.fdatasync();
      throw diskFull(attempted, error);
    }
    await journal.fdatasync();
    state.journalEnd += bytes.byteLength;
  }

  async function commit(): Promise<StoredEntry[]> {
    const group = pending.slice();
    const last = group.at(-1);
    if (last === undefined) return [];
    await data.fdatasync();
    guard.check();
    await note(
      group.map(({ entry }) => ({ entry })),
      "commit",
    );
    guard.check();
    pending.splice(0, group.length);
    state.committedEnd = last.entry.offset + last.entry.length;
    state.hash = last.hashAfter;
    for (const { entry } of group) {
      state.hasKeys ||= entry.keyed !== "";
      // The journal has the keys; memory need not.
      state.entries.push({ ...entry, keyed: "" });
    }
    return group.map(({ entry }) => stored(entry));
  }

  async function rollback(): Promise<AppendedEntry[]> {
    if (pending.length === 0) return [];
    await data.truncate(state.committedEnd);
    const gone = pending.map(({ entry }) => ({ ...stored(entry), keyed: entry.keyed }));
    pending = [];
    end = state.committedEnd;
    return gone;
  }

  async function discard(source: string, intervals: readonly Interval[]): Promise<void> {
    await note([{ discard: { source, intervals: [...intervals] } }], "discard");
    addDiscard(discarded, source, intervals);
  }

  async function roll(): Promise<Part | undefined> {
    assert(pending.length === 0, "a spool is rolled with nothing pending");
    const live = liveEntries(state.entries, discarded);
    if (live.length === 0) {
      await abandon();
      return undefined;
    }
    const sealed = await seal(live);
    await data.close();
    await journal.close();
    await publishPart(disk, layout, header.number, sealed.seal);
    guard.end();
    return { number: header.number, hasKeys: state.hasKeys, ...sealed };
  }

  async function seal(live: readonly StoredEntry[]): Promise<{ seal: Seal; manifest: Manifest }> {
    const { number } = header;
    const isWhole = isSeamless(state.entries, state.committedEnd, discarded);
    try {
      const { bytes, sha256 } = isWhole
        ? { bytes: state.committedEnd, sha256: state.hash.copy().digest("hex") }
        : await compactSpool(disk, data, layout.compact(number), { entries: state.entries, discarded });
      const made: Seal = { bytes, sha256, closedMs: now(), compacted: !isWhole };
      const manifest = await writeManifest(disk, layout, { header, entries: live, seal: made });
      await disk.fsyncDir(layout.spoolDir);
      await note([{ seal: made }], "seal");
      return { seal: made, manifest };
    } catch (error) {
      const isFull = error instanceof CodedError && error.code === "resource_exhausted";
      if (!isFull && !isSystemError(error, "ENOSPC")) throw error;
      await disk.unlink(layout.compact(number));
      await disk.unlink(layout.manifestTemp(number));
      throw isFull ? error : diskFull("seal", error);
    }
  }

  /** Ends a spool of which no row is left. The data goes first: without rows, a journal alone asks for nothing. */
  async function abandon(): Promise<void> {
    await data.close();
    await journal.close();
    await disk.unlink(layout.data(header.number));
    await disk.fsyncDir(layout.spoolDir);
    await disk.unlink(layout.journal(header.number));
    await disk.fsyncDir(layout.spoolDir);
    guard.end();
  }

  return {
    header,
    append: (appended) => guard.write("append", () => append(appended)),
    commit: () => guard.commit("commit", commit),
    rollback: () => guard.alone("roll back", rollback),
    discard: (source, intervals) => guard.alone("discard", () => discard(source, intervals)),
    roll: () => guard.alone("roll", roll),
    close: () =>
      guard.close(async () => {
        await data.close();
        await journal.close();
      }),
    pendingBytes: () => end - state.committedEnd,
    pendingEntries: () => pending.length,
    bytes: () => end,
    entries: () => state.entries.length + pending.length,
  };
}

function stored({ source, intervals, messages }: JournalEntry): StoredEntry {
  return { source, intervals, messages };
}
