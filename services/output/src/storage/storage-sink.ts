import { type Interval, type OpenBatch, rowPositions } from "@millrace/envelope";
import { chooseRows, intervalsOf, keyedIds, type RowRun, rowsOf } from "./choose-rows.js";
import { openDoneJournals } from "./done-journals.js";
import { encodeLines, type EncodedRows } from "./encode-lines.js";
import { encodeRecords, type FindingName } from "./encode-records.js";
import { splitIds } from "./id-window.js";
import { createSettledSources, type LoadSettled } from "./settled-sources.js";
import { type Disk, nodeDisk } from "./spool/disk.js";
import { createLayout } from "./spool/layout.js";
import type { StoredEntry } from "./spool/part.js";
import { type Recovery, recoverSpools, type SettledElsewhere } from "./spool/recover.js";
import { createSerial } from "./spool/serial.js";
import { createSpool, type Part, type Spool, type SpoolAppend } from "./spool/spool.js";

export interface StorageSinkOptions {
  root: string;
  tenant: string;
  stream: string;
  /** Names this process's files: stable over restarts, and no other process may have it. */
  writer: string;
  format: "lines" | "records";
  loadSettled: LoadSettled;
  settledElsewhere: SettledElsewhere;
  findingName: FindingName;
  now: () => number;
  /** A part is finished at this size, or at this age. Defaults 64 MiB and 10 s. */
  rollBytes?: number;
  rollAgeMs?: number;
  /** Ids given by clients that are remembered. Default 100,000: about 10 MB. */
  keyedIdsMax?: number;
  /** Sources whose settled positions are held. Default 10,000. */
  sourcesMax?: number;
  disk?: Disk;
}

/** What became of a batch's rows: stored + settled + repeated + rejected = count. */
export interface Staged {
  /** Bytes and rows appended. */
  bytes: number;
  stored: number;
  /** Rows whose positions were stored before, or are staged: settled at the latest by the next commit. */
  settled: number;
  /** Rows whose id, given by a client, is stored already, and their positions, which the ledger has to hear of. */
  repeated: number[];
  repeatedIntervals: Interval[];
  /** Rows that the format cannot hold: they belong to the dead letters. */
  rejected: number[];
}

/**
 * Continuous storage of one stream. The caller drives it, one call at a time but for `stage`:
 *
 *   stage(batch)…  →  commit()  →  write the LEDGER  →  ack  →  rollIfDue()
 *
 * Nothing is stored before `commit` resolves, and a batch must not be acked before the ledger has it. Where writing
 * the ledger shows that another writer was first, `discard` those positions before `rollIfDue`. Errors:
 * `resource_exhausted` means wait and call again (after a failed `stage`, nothing of that batch is staged);
 * `internal` means that the disk failed: nothing may be acked any more, the service has to exit.
 */
export interface StorageSink {
  /** What a crash had left: its entries have to be in the ledger before the first `rollIfDue`. */
  readonly recovery: Recovery;
  stage(open: OpenBatch): Promise<Staged>;
  commit(): Promise<StoredEntry[]>;
  rollback(): Promise<void>;
  discard(source: string, intervals: readonly Interval[]): Promise<void>;
  /** Calling it says that the ledger has everything that `commit` answered. */
  rollIfDue(): Promise<Part[]>;
  /** Staged and not committed. */
  pendingBytes(): number;
  /** Leaves what isn't finished to the next start. */
  close(): Promise<void>;
}

/** Entries of one spool, held in memory until it is finished: about 30 MB. */
const spoolEntriesMax = 100_000;

/** Recovers what this writer left, then stores on. Errors: those of `createLayout` and `recoverSpools`. */
export async function openStorageSink(options: StorageSinkOptions): Promise<StorageSink> {
  const { format, now } = options;
  const { rollBytes = 64 * 1024 * 1024, rollAgeMs = 10_000, keyedIdsMax = 100_000, sourcesMax = 10_000 } = options;
  const disk = options.disk ?? nodeDisk;
  const layout = createLayout(options);
  const context = { disk, layout, now };
  const recovery = await recoverSpools({ ...context, settledElsewhere: options.settledElsewhere });
  const { done, seen } = await openDoneJournals(context, keyedIdsMax);
  seen.addAll(recovery.keyed.flatMap(splitIds));
  const sources = createSettledSources(options.loadSettled, { sourcesMax, recovered: recovery.entries });
  const inTurn = createSerial();
  let nextNumber = recovery.nextNumber;
  // Committed by a call that failed at a later spool; the next one answers them.
  const unreported: StoredEntry[] = [];
  // Spools that take no more rows, oldest first: one while it waits for its last commit, more after a recovery.
  const closing = [...recovery.spools];
  let current: Spool | undefined = closing.at(-1)?.header.format === format ? closing.pop() : undefined;

  function isDue(spool: Spool): boolean {
    if (spool.entries() === 0) return false;
    const isOld = now() - spool.header.openedMs >= rollAgeMs;
    return isOld || spool.bytes() >= rollBytes || spool.entries() >= spoolEntriesMax;
  }

  function encode(open: OpenBatch, runs: readonly RowRun[]): EncodedRows {
    return format === "lines" ? encodeLines(open, runs) : encodeRecords(open, runs, options.findingName);
  }

  async function stage(open: OpenBatch): Promise<Staged> {
    const settledPositions = await sources.of(open.header.source);
    const ids = keyedIds(open);
    const { runs, settled, repeated } = chooseRows(open, settledPositions, { ids, isSeen: seen.has });
    const encoded = encode(open, runs);
    const repeatedIntervals = intervalsOfRows(open, repeated);
    const { rejected } = encoded;
    const rows = encoded.runs.reduce((sum, { from, to }) => sum + (to - from), 0);
    const staged = { bytes: 0, stored: rows, settled, repeated, repeatedIntervals, rejected };
    if (rows === 0) return staged;
    const kept = [...rowsOf(ids.size === 0 ? [] : encoded.runs)].flatMap((row) => ids.get(row) ?? []);
    const entry = entryOf(open, encoded, { messages: rows, keyed: kept.join("") });
    current ??= await createSpool(context, { number: nextNumber, format });
    nextNumber = Math.max(nextNumber, current.header.number + 1);
    await current.append(entry);
    sources.staged(entry);
    seen.addAll(kept);
    return { ...staged, bytes: encoded.bytes.reduce((sum, piece) => sum + piece.byteLength, 0) };
  }

  async function commit(): Promise<StoredEntry[]> {
    // No row is on its way into a spool that stops taking any; rows that come meanwhile go into the next one.
    await inTurn(async () => {
      if (current === undefined || closing.length > 0 || !isDue(current)) return;
      closing.push(current);
      current = undefined;
    });
    for (const spool of [...closing, current]) {
      const entries = (await spool?.commit()) ?? [];
      sources.committed(entries);
      for (const entry of entries) unreported.push(entry);
    }
    return unreported.splice(0);
  }

  async function rollback(): Promise<void> {
    for (const spool of [...closing, current]) {
      const gone = (await spool?.rollback()) ?? [];
      sources.rolledBack(gone);
      for (const { keyed } of gone) seen.removeAll(splitIds(keyed));
    }
  }

  async function rollIfDue(): Promise<Part[]> {
    sources.ledgerWritten();
    const parts: (Part | undefined)[] = [];
    for (let spool = closing[0]; spool?.pendingEntries() === 0; spool = closing[0]) {
      parts.push(await spool.roll());
      closing.shift();
    }
    await inTurn(async () => {
      if (current === undefined || current.pendingEntries() > 0 || !isDue(current)) return;
      parts.push(await current.roll());
      current = undefined;
    });
    const made = parts.filter((part) => part !== undefined);
    for (const { number, seal, hasKeys } of made) done.add({ number, closedMs: seal.closedMs, hasKeys });
    if (made.length > 0) await done.prune();
    return made;
  }

  return {
    recovery,
    stage: (open) => inTurn(() => stage(open)),
    commit,
    rollback: () => inTurn(rollback),
    discard: async (source, intervals) => {
      for (const spool of [...closing, current]) await spool?.discard(source, intervals);
    },
    rollIfDue,
    pendingBytes: () => [...closing, current].reduce((sum, spool) => sum + (spool?.pendingBytes() ?? 0), 0),
    close: () =>
      inTurn(async () => {
        for (const spool of [...closing, current]) await spool?.close();
      }),
  };
}

function entryOf(open: OpenBatch, encoded: EncodedRows, as: { messages: number; keyed: string }): SpoolAppend {
  const { header, columns } = open;
  const intervals = intervalsOf(rowPositions(header, columns), encoded.runs);
  const all = columns.positionDeltas;
  const deltas = all.length === 0 ? [] : encoded.runs.flatMap(({ from, to }) => all.slice(from, to));
  return { source: header.source, intervals, deltas, bytes: encoded.bytes, ...as };
}

function intervalsOfRows(open: OpenBatch, rows: readonly number[]): Interval[] {
  if (rows.length === 0) return [];
  const runs = rows.map((row) => ({ from: row, to: row + 1 }));
  return intervalsOf(rowPositions(open.header, open.columns), runs);
}
