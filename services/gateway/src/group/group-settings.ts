import { CodedError, codes } from "@millrace/errors";
import { type Group, type Open } from "@millrace/proto/group";
import { StartAt } from "@millrace/proto/message";
import type { Stream } from "@millrace/proto/stream";
import { checkStreamName } from "../stream/stream-name.js";
import { millisecondsOf } from "../stream/wire-duration.js";
import { ordered, wantedBy } from "../subscribe/result-filter.js";
import type { MessageKind } from "./held-frame.js";

/** What a member says of itself; the rest of what it says is its group's. */
export interface MemberSettings {
  credits: number;
  /** Undefined: all. */
  kinds: ReadonlySet<string> | undefined;
  ackWaitMs: number;
}

const kindNames: readonly MessageKind[] = ["text", "data", "image"];
const creditsDefault = 100;
const creditsMax = 8_192;
const attemptsDefault = 5;
const attemptsMax = 100;
const ackWait = { defaultMs: 30_000, minMs: 1_000, maxMs: 3_600_000 };

/** Errors: `invalid_argument`, `failed_precondition`. */
export function checkOpen(open: Open, stream: Stream): MemberSettings {
  checkGroupName(open.group);
  if (stream.outputs?.results === undefined) {
    throw new CodedError("failed_precondition", `consume: stream ${stream.name} keeps no results`, {
      field: "open.stream",
      remedy: "Declare outputs.results with UpdateStream.",
    });
  }
  const unknown = open.kinds.find((kind) => !(kindNames as readonly string[]).includes(kind));
  if (unknown !== undefined)
    throw invalid("kinds", "is no kind of message", `Use ${kindNames.join(" or ")}.`);
  wantedBy(open, { call: "consume", within: "open." });
  if (open.startAt !== StartAt.START_AT_UNSPECIFIED && open.startAt !== StartAt.START_AT_EARLIEST) {
    throw invalid("start_at", "is no known start", "Use START_AT_EARLIEST, or leave it out to begin now.");
  }
  if (open.credits > creditsMax) throw invalid("credits", "is too many", `Use at most ${creditsMax}.`);
  if (open.maxAttempts > attemptsMax) {
    throw invalid("max_attempts", "is too many", `Use at most ${attemptsMax}.`);
  }
  const ackWaitMs = open.ackWait === undefined ? ackWait.defaultMs : millisecondsOf(open.ackWait);
  if (ackWaitMs < ackWait.minMs || ackWaitMs > ackWait.maxMs) {
    throw invalid("ack_wait", `is ${ackWaitMs} ms`, "Use 1 s to 1 h.");
  }
  const kinds = open.kinds.length === 0 ? undefined : new Set(open.kinds);
  return { credits: open.credits || creditsDefault, kinds, ackWaitMs };
}

export function checkGroupName(name: string, field = "open.group"): void {
  try {
    checkStreamName(name, field);
  } catch (caught) {
    const { remedy = "" } = CodedError.from(caught);
    const problem = "name a group: that is no name of a group";
    throw new CodedError("invalid_argument", problem, { field, remedy });
  }
}

/** The group that the first member makes. */
export function newGroup(open: Open, stream: Stream, of: { nowMs: number; startSeq: number }): Group {
  return {
    stream: stream.name,
    name: open.group,
    kinds: [...new Set(open.kinds)].sort(),
    sourceIds: [...new Set(open.sourceIds)].sort(),
    maySkip: open.maySkip,
    maxAttempts: open.maxAttempts || attemptsDefault,
    createdMs: Math.round(of.nowMs),
    streamCreatedMs: stream.createdMs,
    startSeq: of.startSeq,
    filter: ordered(open.filter),
  };
}

/**
 * The group with the member's kinds. Errors: `failed_precondition` where it says something else of the
 * group.
 */
export function joined(group: Group, open: Open): Group {
  if (open.maySkip !== group.maySkip) {
    throw differs(group, "may_skip", group.maySkip ? "may skip" : "must be delivered to");
  }
  if (open.maxAttempts !== 0 && open.maxAttempts !== group.maxAttempts) {
    throw differs(group, "max_attempts", `has ${group.maxAttempts} attempts`);
  }
  if (JSON.stringify([...new Set(open.sourceIds)].sort()) !== JSON.stringify(group.sourceIds)) {
    throw differs(group, "source_ids", "is of other source ids");
  }
  if (JSON.stringify(ordered(open.filter)) !== JSON.stringify(ordered(group.filter))) {
    throw differs(group, "filter", "has another filter");
  }
  if (group.kinds.length === 0) return group;
  const kinds = open.kinds.length === 0 ? [] : [...new Set([...group.kinds, ...open.kinds])].sort();
  return { ...group, kinds };
}

function differs(group: Group, field: string, has: string): CodedError {
  return new CodedError("failed_precondition", `consume: group ${group.name} is there, and ${has}`, {
    field: `open.${field}`,
    remedy: "Say the same, use another group, or delete this one with DeleteGroup.",
  });
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `consume: ${field} ${problem}`, {
    field: `open.${field}`,
    remedy,
  });
}

const reasonCharsMax = 200;

/** What a member says of a failure, as it is kept. */
export function failureOf(group: Group, { code, reason }: { code: string; reason: string }): CodedError {
  const known = Object.keys(codes).find((name) => name === code) as keyof typeof codes | undefined;
  const what = reason === "" ? "a member gave it up" : reason.slice(0, reasonCharsMax);
  return new CodedError(known ?? "failed_precondition", `group ${group.name}: ${what}`);
}
