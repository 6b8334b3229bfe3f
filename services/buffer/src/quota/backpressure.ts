import { deriveId } from "@millrace/envelope";
import { type Outgoing, stageFilters, subjects } from "@millrace/messaging";
import { Event } from "@millrace/proto/event";
import type { SinkLag } from "@millrace/proto/stream";
import type { StreamId } from "./live-bytes.js";
import type { Usage } from "./stream-quota.js";

/** Tells as an event when a stream becomes full and when it has room again. */
export interface Backpressure {
  /** Called again and again with how a stream is; tells what changed, at most once in 5 s. */
  watch(of: StreamId, usage: Usage): Promise<void>;
  /** Streams that were last told to be full. */
  toldFull(): StreamId[];
  forget(of: StreamId): void;
}

export interface BackpressureOptions {
  publish(message: Outgoing): Promise<unknown>;
  /** Messages of a stream that the bus stores. */
  countStored(jetStream: string, filter: string): Promise<number>;
  lags(of: StreamId): readonly SinkLag[];
  /** Names of the stream's must-deliver groups. */
  groupsOf(of: StreamId): Promise<readonly string[]>;
  now(): number;
}

/** What the senders of a full stream wait for, in events and metrics. */
export const waitedFor = "buffer quota";

const betweenMs = 5_000;

interface Told {
  of: StreamId;
  full: boolean;
  atMs: number;
}

export function createBackpressure(options: BackpressureOptions): Backpressure {
  const told = new Map<string, Told>();
  const keyOf = ({ tenant, stream }: StreamId): string => `${tenant}/${stream}`;
  return {
    watch: async (of, usage) => {
      const full = usage.waiting.length > 0;
      const last = told.get(keyOf(of));
      if (full === (last?.full ?? false)) return;
      const nowMs = options.now();
      if (last !== undefined && nowMs - last.atMs < betweenMs) return;
      const because = full ? await causeOf(options, of) : "what held it up is settled";
      const event: Event = {
        id: deriveId("backpressure", of.tenant, of.stream, String(full), String(Math.round(nowMs))),
        type: "backpressure",
        stream: of.stream,
        timeMs: Math.round(nowMs),
        payload: {
          $case: "backpressure",
          value: { ...usage, waiting: [...usage.waiting], full, waitingFor: waitedFor, because },
        },
      };
      await options.publish({
        subject: subjects.event(of.tenant, of.stream, "backpressure"),
        data: Event.encode(event).finish(),
        id: event.id,
      });
      told.set(keyOf(of), { of, full, atMs: nowMs });
    },
    toldFull: () => [...told.values()].flatMap(({ of, full }) => (full ? [of] : [])),
    forget: (of) => void told.delete(keyOf(of)),
  };
}

/** Whoever has the most to do: a stage by the batches that wait for it, else the sink that lags most. */
async function causeOf(options: BackpressureOptions, of: StreamId): Promise<string> {
  const counts = await Promise.all(
    stageFilters(of.tenant, of.stream).map(async ({ stage, jetStream, filter }) => ({
      stage,
      batches: await options.countStored(jetStream, filter),
    })),
  );
  const [most] = counts.sort((one, other) => other.batches - one.batches);
  const [sink] = options.lags(of);
  // Results may wait for what a group has not settled: whoever reads this looks whether its members work.
  const groups = sink?.sink === "results" ? await options.groupsOf(of) : [];
  const named = groups.length === 0 ? "" : `; must-deliver groups: ${groups.join(", ")}`;
  if (most !== undefined && most.batches > 0 && most.stage !== "sinks")
    return `${most.stage} lags by ${most.batches} batches${named}`;
  return sink === undefined ? "its outputs lag" : `${sink.sink} lags by ${sink.bytes} bytes${named}`;
}
