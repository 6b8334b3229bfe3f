import { CodedError } from "@millrace/errors";
import type { ReplayBound, ReplayRequest } from "@millrace/proto/replay";
import { millisecondsOf } from "../stream/wire-duration.js";
import type { ReplayedRow } from "./replayed-row.js";

/** Which messages are wanted: by event time, or by position in one source. */
export interface ReplayBounds {
  kind: "all" | "time" | "position";
  /** Only of `position`. */
  source: string;
  /** Half-open: milliseconds since the epoch, or positions. */
  from: number;
  to: number;
}

/**
 * `sourceOf`: the source's key for what a client calls it. Errors: `invalid_argument` with the field as the
 * request names it.
 */
export function readBounds(
  { from, to }: Pick<ReplayRequest, "from" | "to">,
  sourceOf: (name: string) => string,
): ReplayBounds {
  const [first, last] = [read(from, "from", sourceOf), read(to, "to", sourceOf)];
  if (first !== undefined && last !== undefined) {
    if (first.kind !== last.kind) {
      throw invalid("to", "is another kind of bound than from", "Give two times, or two positions.");
    }
    if (first.source !== last.source) {
      throw invalid("to", "is of another source than from", "Name the same source in both.");
    }
    if (first.at >= last.at) throw invalid("to", "is not after from", "Give a later one, or leave it out.");
  }
  const known = first ?? last;
  if (known === undefined) return { kind: "all", source: "", from: 0, to: Number.POSITIVE_INFINITY };
  const { kind, source } = known;
  return { kind, source, from: first?.at ?? 0, to: last?.at ?? Number.POSITIVE_INFINITY };
}

export function isWithin({ kind, source, from, to }: ReplayBounds, row: ReplayedRow): boolean {
  if (kind === "all") return true;
  if (kind === "time") return row.eventTimeMs >= from && row.eventTimeMs < to;
  return row.source === source && row.position >= from && row.position < to;
}

const messagesPerSecondDefault = 1_000;

/** A modest one where none is asked for: live messages come first. */
export function rateOf({ messagesPerSecond, bytesPerSecond }: ReplayRequest): {
  messagesPerSecond: number;
  bytesPerSecond: number;
} {
  const isGiven = messagesPerSecond > 0 || bytesPerSecond > 0;
  return { messagesPerSecond: isGiven ? messagesPerSecond : messagesPerSecondDefault, bytesPerSecond };
}

interface Bound {
  kind: "time" | "position";
  source: string;
  at: number;
}

function read(
  bound: ReplayBound | undefined,
  field: string,
  sourceOf: (name: string) => string,
): Bound | undefined {
  if (bound?.kind === undefined) return undefined;
  if (bound.kind.$case === "time") {
    const at = Math.floor(millisecondsOf(bound.kind.value));
    if (at < 0 || at > 8.64e15) throw invalid(field, "is no time", "Give a time from 1970 on.");
    return { kind: "time", source: "", at };
  }
  const { source, offset } = bound.kind.value;
  // A key of 32 hex digits, or the epoch of a client.
  if (!/^[a-z0-9-]{16,64}$/.test(source)) {
    const remedy = "Use the source of a message's position.";
    throw invalid(`${field}.position.source`, "is no name of a source", remedy);
  }
  return { kind: "position", source: sourceOf(source), at: offset };
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `replay: ${field} ${problem}`, { field, remedy });
}
