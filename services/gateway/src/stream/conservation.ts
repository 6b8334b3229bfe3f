import { createIntervalSet } from "@millrace/envelope";
import type { Entry } from "@millrace/proto/ledger";
import type { Conservation, Outputs, SinkCount, SourceStatus } from "@millrace/proto/stream";

/** One entry of the LEDGER: what a stage or sink has settled of one source. */
export interface LedgerEntry {
  stage: string;
  source: string;
  entry: Entry;
}

/** Stages that every message passes; their dead and dropped never reach a sink. */
const upstream: ReadonlySet<string> = new Set(["buffer", "privacy", "inference"]);

/** Names under which the declared outputs settle. */
export function sinksOf(outputs: Outputs | undefined): string[] {
  const sinks: string[] = [];
  if (outputs?.results !== undefined || outputs?.artifacts === true || outputs?.events === true)
    sinks.push("results");
  if (outputs?.storage !== undefined) sinks.push("store");
  if (outputs?.search === true) sinks.push("search");
  if (outputs?.kafka !== undefined) sinks.push("kafka");
  return sinks;
}

/**
 * in = out + dead + dropped + in flight, in messages. `storedBatches`: what the broker holds for the stages;
 * with none there, nothing is in flight, and a sum that still does not add up is shown as it is.
 *
 * Out counts a message once every declared sink has it, so it is the least of theirs; what a sink gave up
 * counts once, however many sinks gave it up, so it is the most of theirs.
 */
export function conserve(
  entries: readonly LedgerEntry[],
  sinks: readonly string[],
  storedBatches: number,
): Conservation {
  const accepted = sum([...bySource(entries).values()].map(acceptedOf));
  const ofSink = (name: string): LedgerEntry[] => entries.filter(({ stage }) => stage === name);
  const perSink = sinks.map(ofSink);
  const before = entries.filter(({ stage }) => upstream.has(stage));
  const dead = deadOf(before) + Math.max(0, ...perSink.map(deadOf));
  const droppedByReason = merge([droppedOf(before), most(perSink.map(droppedOf))]);
  const dropped = sum(Object.values(droppedByReason));
  const out = sinks.length === 0 ? 0 : Math.min(...perSink.map(doneOf));
  const inFlight = storedBatches === 0 ? 0 : Math.max(0, accepted - out - dead - dropped);
  const balanced = accepted === out + dead + dropped + inFlight;
  return { in: accepted, out, dead, dropped, inFlight, droppedByReason, balanced };
}

/**
 * Messages of one source that buffer accepted. It writes its entry up to 100 ms late, so the sinks' may be
 * ahead of it: then their positions stand in for what it has not written yet. That works where a position is
 * a message, as with all that is pushed, which shows in as many messages as positions; for a file, whose
 * positions are bytes, the entry of buffer counts alone.
 */
function acceptedOf(entries: readonly LedgerEntry[]): number {
  const buffer = entries.find(({ stage }) => stage === "buffer")?.entry;
  const others = entries.flatMap(({ stage, entry }) => (stage === "buffer" ? [] : [entry]));
  const isPush = buffer === undefined ? others.every(isByMessage) : positionsOf(buffer) === buffer.done;
  if (!isPush) return buffer?.done ?? Math.max(0, ...others.map(messagesOf));
  const settled = createIntervalSet(buffer?.settled ?? []);
  for (const entry of others) settled.addAll(entry.settled);
  return settled.total();
}

const isByMessage = (entry: Entry): boolean => positionsOf(entry) === messagesOf(entry);
const positionsOf = (entry: Entry): number => sum(entry.settled.map(({ from, to }) => to - from));
const messagesOf = (entry: Entry): number => entry.done + entry.dead + sum(Object.values(entry.dropped));

/** How far each source was accepted. */
export function sourceStatuses(entries: readonly LedgerEntry[]): SourceStatus[] {
  return entries
    .filter(({ stage }) => stage === "buffer")
    .map(({ source, entry }) => {
      const position = entry.settled.at(-1)?.to ?? 0;
      return { source, position, messages: entry.done, lastError: "" };
    });
}

export function sinkCounts(entries: readonly LedgerEntry[], sinks: readonly string[]): SinkCount[] {
  return sinks.map((sink) => ({ sink, messages: doneOf(entries.filter(({ stage }) => stage === sink)) }));
}

function bySource(entries: readonly LedgerEntry[]): Map<string, LedgerEntry[]> {
  const sources = new Map<string, LedgerEntry[]>();
  for (const line of entries) {
    const known = sources.get(line.source);
    if (known === undefined) sources.set(line.source, [line]);
    else known.push(line);
  }
  return sources;
}

const doneOf = (entries: readonly LedgerEntry[]): number => sum(entries.map(({ entry }) => entry.done));
const deadOf = (entries: readonly LedgerEntry[]): number => sum(entries.map(({ entry }) => entry.dead));
const droppedOf = (entries: readonly LedgerEntry[]): Record<string, number> =>
  merge(entries.map(({ entry }) => entry.dropped));

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}

function merge(counts: readonly Record<string, number>[]): Record<string, number> {
  return combine(counts, (one, other) => one + other);
}

function most(counts: readonly Record<string, number>[]): Record<string, number> {
  return combine(counts, Math.max);
}

function combine(
  counts: readonly Record<string, number>[],
  how: (one: number, other: number) => number,
): Record<string, number> {
  const combined = new Map<string, number>();
  for (const each of counts) {
    for (const [reason, count] of Object.entries(each))
      combined.set(reason, how(combined.get(reason) ?? 0, count));
  }
  return Object.fromEntries(combined);
}
