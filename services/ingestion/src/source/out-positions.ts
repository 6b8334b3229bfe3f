import { createIntervalSet, type IntervalSet } from "@millrace/envelope";
import { type Broker, enrichedFlags, readLedger, watchLedger } from "@millrace/messaging";
import type { Component, Runtime } from "@millrace/runtime";

/** Up to where the outputs of a stream have a source's positions, by the LEDGER. */
export interface OutPositions extends Component {
  /** Has a source's entries read and followed until the signal is aborted. */
  follow(of: { tenant: string; stream: string; source: string }, signal: AbortSignal): void;
  /**
   * The end of the run from a position on that every declared output has settled, or a stage before them
   * given up; `gaps` are intervals that no output gets. Where nothing is declared the LEDGER can't tell: all.
   */
  to(of: OutOf, run: { from: number; gaps: ReadonlyMap<number, number> }): number;
}

export interface OutOf {
  tenant: string;
  stream: string;
  source: string;
  outputs: Parameters<typeof enrichedFlags>[0];
}

/** They write what they gave up, and nothing else. */
const stages = ["privacy", "inference"];
const sinks = ["results", "store", "search"] as const;

interface Followed {
  settled: Map<string, IntervalSet>;
  uses: number;
}

const nameOf = ({ tenant, stream, source }: Omit<OutOf, "outputs">): string =>
  `${tenant}.${stream}.${source}`;

export function createOutPositions(broker: Broker, runtime: Runtime): OutPositions {
  const followed = new Map<string, Followed>();
  const watch = watchLedger(broker, runtime, {
    stages: [...stages, ...sinks],
    isWanted: (of) => followed.has(nameOf(of)),
    onEntry: (stage, of, { settled }) =>
      followed.get(nameOf(of))?.settled.set(stage, createIntervalSet(settled)),
  });
  let isWatching = false;

  /** What was written before anybody asked. */
  const read = async (of: Omit<OutOf, "outputs">): Promise<void> => {
    for (const { stage, source, entry } of await readLedger(broker, of)) {
      const held = source === of.source ? followed.get(nameOf(of)) : undefined;
      // What the watch told meanwhile is newer.
      if (held !== undefined && !held.settled.has(stage)) {
        held.settled.set(stage, createIntervalSet(entry.settled));
      }
    }
  };

  return {
    name: "out-positions",
    stop: async (signal) => {
      if (isWatching) await watch.stop?.(signal);
    },
    follow: (of, signal) => {
      if (!isWatching) {
        isWatching = true;
        void watch.start?.();
      }
      const name = nameOf(of);
      const held = followed.get(name) ?? { settled: new Map<string, IntervalSet>(), uses: 0 };
      followed.set(name, held);
      held.uses++;
      signal.addEventListener("abort", () => {
        held.uses--;
        if (held.uses === 0) followed.delete(name);
      });
      void read(of).catch((caught: unknown) =>
        runtime.log.warn("ledger not read, its next changes will do", { error: String(caught) }),
      );
    },
    to: ({ outputs, ...of }, { from, gaps }) => {
      const settled = followed.get(nameOf(of))?.settled;
      const flags = enrichedFlags(outputs);
      const declared = sinks.filter((sink) => flags[sink]);
      if (declared.length === 0) return Number.MAX_SAFE_INTEGER;
      if (settled === undefined) return from;
      const endOf = (name: string, at: number): number => endOfRun(settled.get(name), at);
      let to = from;
      for (;;) {
        const givenUp = Math.max(...stages.map((stage) => endOf(stage, to)));
        const out = Math.min(...declared.map((sink) => endOf(sink, to)));
        const next = Math.max(givenUp, out, gaps.get(to) ?? to);
        if (next <= to) return to;
        to = next;
      }
    },
  };
}

/** Where the run ends that a position is in; the position itself where it is in none. */
function endOfRun(settled: IntervalSet | undefined, at: number): number {
  const [missing] = settled?.missing({ from: at, to: Number.MAX_SAFE_INTEGER }) ?? [{ from: at }];
  return missing?.from ?? at;
}
