import { CodedError } from "@millrace/errors";
import { type Interval, noColumn, type OpenBatch, rowPositions } from "@millrace/envelope";
import { chooseRows, intervalsOf, keyedIds, type RowRun, rowsOf } from "./choose-rows.js";
import type { DoneJournals } from "./done-journals.js";
import { encodeLines, type EncodedRows } from "./encode-lines.js";
import { encodeRecords, type FindingName } from "./encode-records.js";
import { type IdWindow, splitIds } from "./id-window.js";
import type { RetainedParts } from "./retained-parts.js";
import type { SettledSources } from "./settled-sources.js";
import type { Part, StoredEntry } from "./spool/part.js";
import type { Serial } from "./spool/serial.js";
import { dayOf } from "./spool/layout.js";
import { createSpool, type Spool } from "./spool/spool.js";
import type { SpoolAppend, SpoolContext } from "./spool/spool-write.js";

/** What a sink of storage-sink.ts works on. */
export interface OpenSink {
  context: SpoolContext;
  settings: {
    format: "lines" | "records" | "parquet";
    rollBytes: number;
    rollAgeMs: number;
    findingName: FindingName;
  };
  sources: SettledSources;
  seen: IdWindow;
  done: DoneJournals;
  retained: RetainedParts;
  /** Keeps the choice of rows and of the spool together with their append. */
  inTurn: Serial;
  /** Where rows go; undefined until there is one. */
  current: Spool | undefined;
  /** Begun before it is needed, so that no batch waits for its syncs. */
  next: Promise<Spool> | undefined;
  /** Spools that take no more rows, oldest first: until their last commit, and until they are published. */
  closing: Spool[];
  nextNumber: number;
  /** Committed by a call that failed at a later spool; the next one answers them. */
  unreported: StoredEntry[];
}

/** What became of a batch's rows: stored + settled + repeated + rejected = count. */
export interface Staged {
  /** Bytes and rows appended. */
  bytes: number;
  stored: number;
  /** Rows whose positions were stored before, or are staged: settled at the latest by the next commit. */
  settled: number;
  /**
   * Rows whose id, given by a client, is stored already, and their positions, which the ledger has to hear
   * of.
   */
  repeated: number[];
  repeatedIntervals: Interval[];
  /** Rows that the format cannot hold: they belong to the dead letters. */
  rejected: number[];
}

/** Entries of one spool, held in memory until it is finished: about 30 MB. */
const spoolEntriesMax = 100_000;

/** Spools that wait to be published; while there are more, rows go on into the current one. */
const closingMax = 4;

export function spoolsOf({ closing, current }: OpenSink): Spool[] {
  return current === undefined ? [...closing] : [...closing, current];
}

/** Without those that are being published. */
function pendingSpools(sink: OpenSink): Spool[] {
  return spoolsOf(sink).filter((spool) => spool.pendingEntries() > 0);
}

function isOld({ context, settings }: OpenSink, { header }: Spool): boolean {
  if (context.now() - header.openedMs >= settings.rollAgeMs) return true;
  // The folder is that of a day.
  return header.format === "parquet" && dayOf(header.openedMs) !== dayOf(context.now());
}

function isDue(sink: OpenSink, spool: Spool): boolean {
  if (spool.entries() === 0) return false;
  return isOld(sink, spool) || spool.bytes() >= sink.settings.rollBytes || spool.entries() >= spoolEntriesMax;
}

/** The current spool takes no more rows. In turn only: none may be on its way into it. */
function endCurrent(sink: OpenSink): void {
  if (sink.current === undefined || sink.closing.length >= closingMax || !isDue(sink, sink.current)) return;
  sink.closing.push(sink.current);
  sink.current = undefined;
}

export async function stage(sink: OpenSink, open: OpenBatch, verify?: () => void): Promise<Staged> {
  const { sources, seen } = sink;
  const ids = keyedIds(open);
  const taken = await sources.of(open.header.source);
  const { runs, settled, repeated } = chooseRows(open, taken, { ids, isSeen: seen.has });
  const encoded = encode(sink, open, runs);
  const rows = encoded.runs.reduce((sum, { from, to }) => sum + (to - from), 0);
  const left = {
    settled,
    repeated,
    repeatedIntervals: intervalsOfRows(open, repeated),
    rejected: encoded.rejected,
  };
  if (rows === 0) return { bytes: 0, stored: 0, ...left };
  const stored = [...rowsOf(ids.size === 0 ? [] : encoded.runs)].flatMap((row) => ids.get(row) ?? []);
  const entry = entryOf(open, encoded, { messages: rows, keyed: stored.join(""), verify });
  endCurrent(sink);
  sink.current ??= await takeNext(sink);
  await sink.current.append(entry);
  if (sink.current.bytes() >= sink.settings.rollBytes / 2) prepareNext(sink);
  sources.staged(entry);
  seen.addAll(stored);
  return { bytes: encoded.bytes.reduce((sum, piece) => sum + piece.byteLength, 0), stored: rows, ...left };
}

function prepareNext(sink: OpenSink): void {
  if (sink.next !== undefined) return;
  sink.next = beginSpool(sink);
  // Told to the batch that takes it.
  sink.next.catch(() => undefined);
}

async function takeNext(sink: OpenSink): Promise<Spool> {
  const { next } = sink;
  sink.next = undefined;
  if (next === undefined) return beginSpool(sink);
  const spool = await next;
  if (!isOld(sink, spool)) return spool;
  // It would be due at its first row. Without rows, sealing ends it.
  await spool.seal();
  return beginSpool(sink);
}

const isFull = (error: unknown): boolean =>
  error instanceof CodedError && error.code === "resource_exhausted";

async function beginSpool(sink: OpenSink): Promise<Spool> {
  const { context, settings, retained, nextNumber: number } = sink;
  const recycled = retained.take();
  try {
    const spool = await createSpool(context, { number, format: settings.format, recycled });
    sink.nextNumber += 1;
    return spool;
  } catch (error) {
    // A full disk needs what is there already most of all.
    if (recycled !== undefined && isFull(error)) retained.giveBack(recycled);
    throw error;
  }
}

function encode({ settings }: OpenSink, open: OpenBatch, runs: readonly RowRun[]): EncodedRows {
  return settings.format === "lines"
    ? encodeLines(open, runs)
    : encodeRecords(open, runs, settings.findingName);
}

export async function commit(sink: OpenSink): Promise<StoredEntry[]> {
  if (sink.current !== undefined && isDue(sink, sink.current)) {
    await sink.inTurn(async () => endCurrent(sink), "next");
  }
  for (const spool of pendingSpools(sink)) {
    const entries = await spool.commit();
    sink.sources.committed(entries);
    for (const entry of entries) sink.unreported.push(entry);
  }
  return sink.unreported.splice(0);
}

export async function rollback(sink: OpenSink): Promise<void> {
  for (const spool of pendingSpools(sink)) {
    const gone = await spool.rollback();
    sink.sources.rolledBack(gone);
    for (const { keyed } of gone) sink.seen.removeAll(splitIds(keyed));
  }
}

/** `isLast`: nothing more comes, so that what is there is due whatever its age. */
export async function rollIfDue(sink: OpenSink, isLast = false): Promise<Part[]> {
  const { closing, done, retained, sources } = sink;
  sources.ledgerWritten();
  // Chosen now: what a commit adds while this runs is not in the ledger yet.
  const ready = closing.filter((spool) => spool.pendingEntries() === 0);
  const last = sink.current;
  const isWhole = last?.pendingEntries() === 0 && last.entries() > 0;
  if (last !== undefined && isWhole && (isLast || isDue(sink, last))) {
    const entries = last.entries();
    await sink.inTurn(async () => {
      if (sink.current !== last || last.entries() > entries) return;
      closing.push(last);
      sink.current = undefined;
      ready.push(last);
    }, "next");
  }
  if (isLast) {
    // Nobody takes it any more.
    const next = await sink.next?.catch(() => undefined);
    sink.next = undefined;
    await next?.seal();
  }
  const outcomes = await rollTogether(sink, ready);
  const made = outcomes.flatMap((outcome) => (outcome.status === "fulfilled" ? outcome.value : []));
  for (const part of made) {
    done.add({ number: part.number, closedMs: part.seal.closedMs, hasKeys: part.hasKeys });
    retained.add({ number: part.number, bytes: part.seal.bytes, day: part.seal.day });
  }
  if (made.length > 0) await done.prune();
  await retained.enforce();
  for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  return made;
}

/** Step by step side by side, so that parts share the syncs of directories. None where no row was left. */
function rollTogether(
  { closing }: OpenSink,
  spools: readonly Spool[],
): Promise<PromiseSettledResult<Part[]>[]> {
  const sealing = spools.map((spool) => spool.seal());
  const all = Promise.allSettled(sealing);
  return Promise.allSettled(
    spools.map(async (spool, at) => {
      const part = await sealing[at];
      await all;
      const made = part === undefined ? [] : [await spool.publish()];
      closing.splice(closing.indexOf(spool), 1);
      return made;
    }),
  );
}

function entryOf(
  open: OpenBatch,
  encoded: EncodedRows,
  as: Pick<SpoolAppend, "messages" | "keyed" | "verify">,
): SpoolAppend {
  const { header, columns } = open;
  const intervals = intervalsOf(rowPositions(header, columns), encoded.runs);
  const deltas = deltasOf(columns.positionDeltas, encoded.runs);
  const { bytes, crc32 } = encoded;
  return { source: header.source, intervals, deltas, bytes, ...(crc32 !== undefined && { crc32 }), ...as };
}

function deltasOf(all: Uint32Array, runs: readonly RowRun[]): Uint32Array {
  const [only] = runs;
  if (all.length === 0 || only === undefined) return noColumn;
  if (runs.length === 1) return all.subarray(only.from, only.to);
  const deltas = new Uint32Array(runs.reduce((sum, { from, to }) => sum + to - from, 0));
  let at = 0;
  for (const { from, to } of runs) {
    deltas.set(all.subarray(from, to), at);
    at += to - from;
  }
  return deltas;
}

function intervalsOfRows(open: OpenBatch, rows: readonly number[]): Interval[] {
  if (rows.length === 0) return [];
  const runs = rows.map((row) => ({ from: row, to: row + 1 }));
  return intervalsOf(rowPositions(open.header, open.columns), runs);
}
