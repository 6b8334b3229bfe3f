import { type Broker, subjects } from "@millrace/messaging";
import type { Stream } from "@millrace/proto/stream";
import type { Runtime } from "@millrace/runtime";

/**
 * Keeps what a stream holds for its subscribers within its declared bytes; the age is the broker's to keep.
 */
export interface ResultBudget {
  add(tenant: string, stream: Stream, seq: number, bytes: number): void;
}

interface Kept {
  frames: { seq: number; bytes: number }[];
  bytes: number;
}

const defaultBytes = 256 * 1024 * 1024;

export function createResultBudget(broker: Broker, runtime: Runtime): ResultBudget {
  const kept = new Map<string, Kept>();
  return {
    add: (tenant, stream, seq, bytes) => {
      const subject = subjects.result(tenant, stream.name);
      const of = kept.get(subject) ?? { frames: [], bytes: 0 };
      kept.set(subject, of);
      of.frames.push({ seq, bytes });
      of.bytes += bytes;
      const budget = stream.outputs?.results?.bytes || defaultBytes;
      if (of.bytes <= budget) return;
      // A tenth at once, so that a full budget is not one purge a frame.
      let drop = 0;
      while (drop < of.frames.length - 1 && of.bytes > budget * 0.9)
        of.bytes -= of.frames[drop++]?.bytes ?? 0;
      of.frames.splice(0, drop);
      const keepFrom = of.frames[0]?.seq ?? seq;
      broker.manager.streams
        .purge("RESULT", { filter: subject, seq: keepFrom })
        .catch((caught: unknown) =>
          runtime.log.warn("results beyond the budget not removed", { error: String(caught) }),
        );
    },
  };
}
