import type { Interval, IntervalSet } from "@millrace/envelope";
import { createContentHash, isSystemError, writeAll } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import { type DiskFile, diskFull } from "./disk.js";
import { createGuard } from "./guard.js";
import { encodeJournalLine, type SpoolHeader } from "./journal.js";
import type { Part, StoredEntry } from "./part.js";
import { publish, seal } from "./spool-roll.js";
import { append, type AppendedEntry, commit, discard, rollback } from "./spool-write.js";
import type { OpenSpool, SpoolAppend, SpoolContext, SpoolState } from "./spool-write.js";

/*
 * A spool is a file that is being written and will become a part. Bytes are appended at known offsets; a
 * commit makes all that was appended before it last, in two syncs for the whole group:
 *
 *   .data     |entry|entry|entry|entry|entry|        .journal   open entry entry entry
 *             └─── committed ───┘└ pending ─┘                   └ one line an entry, written after the
 *                               ^ committedEnd  ^ end             data's sync and synced itself
 *
 *            append         append
 *   (new) ─► open ──────────► pending ── commit ──► open ── seal ──► sealed ── publish ──► visible
 *                                 └──── rollback ──► open
 *   any write or sync that fails but for want of space ──► poisoned: every call is refused, exit.
 *   A failed sync is never tried again: the kernel may have marked the lost pages clean (Rebello et al.,
 *   USENIX ATC 2020).
 *
 * Appends go on while a commit waits for the disk. Bytes handed to `append` are read until it resolves, not
 * after.
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
  /**
   * Finishes the spool, which has nothing pending: only `publish` is called then. Undefined where no row was
   * left: it is ended. `resource_exhausted`: call again.
   */
  seal(): Promise<Part | undefined>;
  /** Makes the sealed part visible, and ends the spool. */
  publish(): Promise<Part>;
  /** Gives up the files without finishing them: recovery goes on with them. */
  close(): Promise<void>;
  pendingBytes(): number;
  pendingEntries(): number;
  /** Bytes and entries, pending ones included: what the roll policy looks at. */
  bytes(): number;
  entries(): number;
}

/**
 * Begins a new spool, in the blocks of the part `recycled` where one was taken back. Errors:
 * `resource_exhausted` (nothing is left behind, and `recycled` is free again), or the disk's.
 */
export async function createSpool(
  context: SpoolContext,
  of: { number: number; format: SpoolHeader["format"]; recycled?: number | undefined },
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
  const openData = async (): Promise<DiskFile> => {
    if (of.recycled === undefined) return create(layout.data(number));
    // The journal first, and lasting: old bytes without one would look like somebody's.
    await disk.fsyncDir(layout.spoolDir);
    await disk.rename(layout.free(of.recycled), layout.data(number));
    const file = await disk.open(layout.data(number), "existing");
    opened.push(file);
    return file;
  };
  try {
    const journal = await create(layout.journal(number));
    await writeAll(journal, [line], 0);
    await journal.fdatasync();
    const data = await openData();
    await disk.fsyncDir(layout.spoolDir);
    const fresh = { entries: [], discarded: new Map<string, IntervalSet>(), hash: createContentHash() };
    const state = {
      header,
      data,
      journal,
      journalEnd: line.byteLength,
      committedEnd: 0,
      hasKeys: false,
      ...fresh,
    };
    return resumeSpool(context, state);
  } catch (error) {
    for (const file of opened) await file.close();
    if (!isSystemError(error, "ENOSPC")) throw CodedError.from(error, "begin spool");
    if (of.recycled === undefined) await disk.unlink(layout.data(number));
    else await renameBack(disk, layout.data(number), layout.free(of.recycled));
    await disk.unlink(layout.journal(number));
    throw diskFull("begin spool", error);
  }
}

/** Where it was not renamed yet, it is there still. */
async function renameBack(disk: SpoolContext["disk"], from: string, to: string): Promise<void> {
  await disk.rename(from, to).catch((error: unknown) => {
    if (!isSystemError(error, "ENOENT")) throw error;
  });
}

/** Goes on with a spool whose files hold exactly what the state says. */
export function resumeSpool(context: SpoolContext, state: SpoolState): Spool {
  const guard = createGuard();
  const spool: OpenSpool = {
    ...state,
    context,
    guard,
    pending: [],
    end: state.committedEnd,
    sealed: undefined,
  };
  return {
    header: spool.header,
    append: (appended) => guard.write("append", () => append(spool, appended)),
    commit: () => guard.commit("commit", () => commit(spool)),
    rollback: () => guard.alone("roll back", () => rollback(spool)),
    discard: (source, intervals) => guard.alone("discard", () => discard(spool, source, intervals)),
    seal: () => guard.alone("seal", () => seal(spool)),
    publish: () => guard.alone("publish", () => publish(spool)),
    close: () =>
      guard.close(async () => {
        await spool.data.close();
        await spool.journal.close();
      }),
    pendingBytes: () => spool.end - spool.committedEnd,
    pendingEntries: () => spool.pending.length,
    bytes: () => spool.end,
    entries: () => spool.entries.length + spool.pending.length,
  };
}
