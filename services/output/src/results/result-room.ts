import { CodedError } from "@millrace/errors";
import { subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import { type Frame, resultBytes } from "./result-limits.js";

interface Kept {
  frames: Frame[];
  bytes: number;
}

export interface ResultRoomParts {
  groupsOf(tenant: string, stream: string): readonly string[];
  floorOf(tenant: string, stream: string): Promise<number>;
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
 * the oldest first. Batches that ask at the same time are let in together: so many bytes it may be more.
 */
export function createResultRoom(parts: ResultRoomParts) {
  return async (tenant: string, stream: Stream, bytes: number): Promise<void> => {
    if (!parts.isHeld(tenant, stream)) return;
    const subject = subjects.result(tenant, stream.name);
    const of = parts.keptOf(subject);
    const budget = resultBytes(stream);
    const fits = (): boolean => of.bytes + bytes <= budget || of.frames.length === 0;
    if (fits() && of.frames.length > 0) return;
    await parts.load(subject);
    if (fits()) return;
    const floor = await parts.floorOf(tenant, stream.name);
    const settled = of.frames.filter(({ seq }) => seq <= floor);
    const { count } = parts.oldest(settled, of.bytes + bytes - budget * trimmed);
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
