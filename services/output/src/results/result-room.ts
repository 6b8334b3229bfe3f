import { CodedError } from "@millrace/errors";
import { subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import { type Frame, resultBytes } from "./result-limits.js";

interface Kept {
  frames: Frame[];
  bytes: number;
  /** Let in and not stored yet, by batch. */
  reserved: Map<string, { bytes: number; untilMs: number }>;
}

/** What wants room: tried again, a batch asks under the same id. */
export interface Wanted {
  id: string;
  bytes: number;
}

/** A batch that is not stored by then has failed, or another replica has it. */
const reservedMs = 30_000;

export interface ResultRoomParts {
  groupsOf(tenant: string, stream: string): readonly string[];
  floorOf(tenant: string, stream: string): Promise<number>;
  now(): number;
  isHeld(tenant: string, stream: Stream): boolean;
  keptOf(subject: string): Kept;
  /** Learns what is stored. Errors: `unavailable`. */
  load(subject: string): Promise<void>;
  remove(subject: string, of: Kept, what: { count: number; seq: number }): Promise<void>;
  oldest(frames: readonly Frame[], bytes: number): { count: number };
}

/** A tenth at once, so that a full budget is not one purge a frame. */
const trimmed = 0.9;

/**
 * Whether a stream with must-deliver groups may hold more. What all of them have settled is removed for it,
 * the oldest first.
 */
export function createResultRoom(parts: ResultRoomParts) {
  return async (tenant: string, stream: Stream, { id, bytes }: Wanted): Promise<void> => {
    if (!parts.isHeld(tenant, stream)) return;
    const subject = subjects.result(tenant, stream.name);
    const of = parts.keptOf(subject);
    const budget = resultBytes(stream);
    const waiting = (): number => reservedBytes(of, { id, nowMs: parts.now() });
    const fits = (): boolean => {
      const used = of.bytes + waiting();
      // One that is above the budget by itself goes alone.
      const isIn = used === 0 || used + bytes <= budget;
      if (isIn) of.reserved.set(id, { bytes, untilMs: parts.now() + reservedMs });
      return isIn;
    };
    if (of.frames.length > 0 && fits()) return;
    await parts.load(subject);
    if (fits()) return;
    const floor = await parts.floorOf(tenant, stream.name);
    const settled = of.frames.filter(({ seq }) => seq <= floor);
    const { count } = parts.oldest(settled, of.bytes + waiting() + bytes - budget * trimmed);
    // Not up to the next one: what other replicas stored in between is not settled.
    await parts.remove(subject, of, { count, seq: (settled[count - 1]?.seq ?? 0) + 1 });
    if (fits()) return;
    const names = parts.groupsOf(tenant, stream.name).join(", ");
    throw new CodedError("resource_exhausted", `results: not settled by must-deliver group ${names}`, {
      scope: "stream",
      subject: `results:${stream.name}`,
      retryAfterMs: 500,
      remedy: "Let its members work, delete a group that nobody reads, or raise outputs.results.bytes.",
    });
  };
}

/** Of other batches than this one. */
function reservedBytes({ reserved }: Kept, { id, nowMs }: { id: string; nowMs: number }): number {
  let sum = 0;
  for (const [other, { bytes, untilMs }] of reserved) {
    if (untilMs <= nowMs) reserved.delete(other);
    else if (other !== id) sum += bytes;
  }
  return sum;
}
