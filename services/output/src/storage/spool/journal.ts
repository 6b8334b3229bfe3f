import { crc32 } from "node:zlib";
import { createIntervalSet, type Interval, type IntervalSet, u32Column } from "@millrace/envelope";
import { assert } from "@millrace/errors";

/*
 * A journal says which bytes of a spool are committed. Lines of text, each with its own checksum:
 *
 *   <crc32 of the JSON, 8 hex digits> <JSON> LF
 *
 *   {"open":    {"version": 1, "writer", "number", "format", "openedMs"}}                   the first line
 *   {"entry":   {"offset", "length", "crc32", "source", "intervals", "messages", "deltas", "keyed"}}
 *   {"discard": {"source", "intervals"}}     rows of earlier entries that another writer has stored first
 *   {"seal":    {"bytes", "blake3", "closedMs", "compacted", "day"}}              the last line, if any
 *
 * An entry is written after its bytes were synced, so a whole line vouches for whole bytes; a torn one was
 * not synced itself, so nobody was told of it. One row of an entry is one line of its bytes.
 */
export type JournalLine =
  | { open: SpoolHeader }
  | { entry: JournalEntry }
  | { discard: Discard }
  | { seal: Seal };

export interface SpoolHeader {
  version: 1;
  writer: string;
  number: number;
  format: StorageFormatName;
  openedMs: number;
}

/** `unknown`: the line that said it is damaged. */
export type StorageFormatName = "lines" | "records" | "parquet" | "unknown";

export interface JournalEntry {
  /** Where its bytes lie in the spool. */
  offset: number;
  length: number;
  crc32: number;
  source: string;
  /** Source positions of its rows, in order and without gaps between rows of one interval. */
  intervals: Interval[];
  messages: number;
  /** How far each row reaches in positions: u32 little endian in base64, or empty where each reaches 1. */
  deltas: string;
  /** Ids of rows that a client named: 32 hex digits each, one after the other. */
  keyed: string;
}

export interface Discard {
  source: string;
  intervals: Interval[];
}

export interface Seal {
  /** Of the file as it becomes visible. */
  bytes: number;
  blake3: string;
  closedMs: number;
  /** The visible file is `.compact`, not `.data`. */
  compacted: boolean;
  /** Only of a Parquet part: YYYY-MM-DD, which says where it lies. */
  day?: string;
}

export interface Journal {
  header: SpoolHeader | undefined;
  entries: JournalEntry[];
  discards: Discard[];
  seal: Seal | undefined;
  /**
   * Whole lines that fail their checksum: the disk kept some of an unsynced group, or it damaged a synced
   * one.
   */
  badLines: number;
}

export function encodeJournalLine(line: JournalLine): string {
  const json = JSON.stringify(line);
  return `${checksum(json)} ${json}\n`;
}

/** Everything that can be read out of a journal; what cannot is counted and left out. */
export function parseJournal(bytes: Uint8Array): Journal {
  const none = { header: undefined, seal: undefined };
  const journal: Journal = { ...none, entries: [], discards: [], badLines: 0 };
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  const lines = text.split("\n");
  // What follows the last line feed was torn by a crash, before anybody was told of it.
  lines.pop();
  for (const line of lines) {
    const json = line.slice(9);
    if (line[8] !== " " || line.slice(0, 8) !== checksum(json)) journal.badLines += 1;
    else accept(journal, JSON.parse(json) as JournalLine);
  }
  journal.entries.sort((left, right) => left.offset - right.offset);
  return journal;
}

function accept(journal: Journal, line: JournalLine): void {
  if ("open" in line) journal.header = line.open;
  else if ("entry" in line) journal.entries.push(line.entry);
  else if ("discard" in line) journal.discards.push(line.discard);
  else journal.seal = line.seal;
}

function checksum(json: string): string {
  return crc32(json).toString(16).padStart(8, "0");
}

/** A whole column at once: a journal at full speed notes 400,000 rows a second. */
export function encodeDeltas(deltas: Uint32Array): string {
  if (deltas.every((delta) => delta === 1)) return "";
  return Buffer.from(deltas.buffer, deltas.byteOffset, deltas.byteLength).toString("base64");
}

function decodeDeltas(encoded: string): Uint32Array {
  return u32Column(Buffer.from(encoded, "base64"));
}

/** The source interval of each row of an entry, in order. */
export function rowIntervals(entry: JournalEntry): Interval[] {
  const deltas = entry.deltas === "" ? undefined : decodeDeltas(entry.deltas);
  const rows: Interval[] = [];
  for (const { from, to } of entry.intervals) {
    for (let at = from; at < to; ) {
      const reach = deltas === undefined ? 1 : (deltas[rows.length] ?? 0);
      assert(reach > 0, "the deltas of an entry cover its intervals");
      rows.push({ from: at, to: at + reach });
      at += reach;
    }
  }
  return rows;
}

/** What of a set of entries is to become visible. */
export interface Live {
  /** Rows of an entry that stay, in order; undefined where all do. */
  rows: ReadonlySet<number> | undefined;
  intervals: Interval[];
  messages: number;
}

/** Takes discarded rows out of an entry. A row counts as discarded where its first position is. */
export function liveRows(entry: JournalEntry, discarded: ReadonlyMap<string, IntervalSet>): Live {
  const gone = discarded.get(entry.source);
  if (gone === undefined || entry.intervals.every((interval) => gone.overlap(interval).length === 0)) {
    return { rows: undefined, intervals: entry.intervals, messages: entry.messages };
  }
  const rows = new Set<number>();
  const kept = createIntervalSet();
  for (const [row, interval] of rowIntervals(entry).entries()) {
    if (gone.has(interval.from)) continue;
    rows.add(row);
    kept.add(interval);
  }
  return { rows, intervals: kept.intervals(), messages: rows.size };
}

export function discardedOf(discards: readonly Discard[]): Map<string, IntervalSet> {
  const bySource = new Map<string, IntervalSet>();
  for (const { source, intervals } of discards) addDiscard(bySource, source, intervals);
  return bySource;
}

export function addDiscard(
  to: Map<string, IntervalSet>,
  source: string,
  intervals: readonly Interval[],
): void {
  const set = to.get(source) ?? createIntervalSet();
  set.addAll(intervals);
  to.set(source, set);
}
