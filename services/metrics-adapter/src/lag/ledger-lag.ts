import type { LedgerKey } from "@millrace/messaging";
import type { Entry } from "@millrace/proto/ledger";

/** What the LEDGER knows of a stream, in messages. */
export interface StreamLag {
  /** Accepted, and not settled by the stage as far as the LEDGER tells. */
  stage: number;
  /** Accepted, and not settled by the sink that is furthest behind: what lives. */
  live: number;
}

export interface LedgerLag {
  set(stage: string, of: LedgerKey, entry: Pick<Entry, "done" | "dead" | "dropped">): void;
  forget(tenant: string, stream: string): void;
  read(stage: string, of: { tenant: string; stream: string }): StreamLag;
}

interface Count {
  settled: number;
  lost: number;
}

const sinks = ["search", "results", "store", "kafka"];
const none: Count = { settled: 0, lost: 0 };

/**
 * Messages between what buffer accepted and what was settled, source by source. privacy and inference write
 * down only what they lost: what they passed shows when the first sink has it. So for them it is a bound
 * from above, and what lies between them and the sinks is in it.
 */
export function createLedgerLag(): LedgerLag {
  /** By stream, source and stage. */
  const streams = new Map<string, Map<string, Map<string, Count>>>();

  const lagOf = (counts: ReadonlyMap<string, Count>, stage: string): StreamLag => {
    const of = (name: string): Count => counts.get(name) ?? none;
    const accepted = of("buffer").settled;
    const lost = of("privacy").lost + of("inference").lost;
    const rest = (settled: number): number => Math.max(0, accepted - lost - settled);
    const written = sinks.filter((sink) => counts.has(sink)).map((sink) => of(sink).settled);
    const furthest = Math.max(0, ...written);
    const own = rest(sinks.includes(stage) ? of(stage).settled : furthest);
    return { stage: own, live: Math.max(own, rest(Math.min(furthest, ...written))) };
  };

  return {
    set: (stage, { tenant, stream, source }, { done, dead, dropped }) => {
      const key = `${tenant}.${stream}`;
      const sources = streams.get(key) ?? new Map<string, Map<string, Count>>();
      streams.set(key, sources);
      const counts = sources.get(source) ?? new Map<string, Count>();
      sources.set(source, counts);
      const lost = Object.values(dropped).reduce((sum, count) => sum + count, dead);
      // What buffer refused counts as done and as lost: it never reached a stage.
      counts.set(stage, { settled: stage === "buffer" ? done - lost : done + lost, lost });
    },
    forget: (tenant, stream) => void streams.delete(`${tenant}.${stream}`),
    read: (stage, { tenant, stream }) => {
      const lags = [...(streams.get(`${tenant}.${stream}`)?.values() ?? [])].map((of) => lagOf(of, stage));
      return {
        stage: lags.reduce((sum, lag) => sum + lag.stage, 0),
        live: lags.reduce((sum, lag) => sum + lag.live, 0),
      };
    },
  };
}
