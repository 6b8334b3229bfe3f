import {
  type Broker,
  defaultTenant,
  openGroupConsumer,
  type StreamRegistry,
  storedSizes,
  waitingBatches,
  watchGroups,
  inspectQueue,
} from "@millrace/messaging";
import type { Component, Runtime } from "@millrace/runtime";
import { createResultBudget, type ResultBudget } from "./results/result-budget.js";
import { makeRoom } from "./results/result-store.js";

/** Often enough that the room which is kept free lasts until the next look. */
const lookMs = 1_000;
/** Ages are of seconds at least. */
const sweepEvery = 5;

export interface Results {
  budget: ResultBudget;
  components: Component[];
}

/** What the streams keep for subscribers and groups. */
export async function createResults(
  broker: Broker,
  runtime: Runtime,
  registry: StreamRegistry,
): Promise<Results> {
  const { log, clock } = runtime;
  const groups = await watchGroups(broker);
  const warn = (what: string, error: unknown): void => log.warn(what, { error: String(error) });
  const heldBy = (tenant: string, stream: string) =>
    groups.of(tenant, stream).filter(({ maySkip }) => !maySkip);
  const purge = async (filter: string, of: { seq: number } | { keep: number }): Promise<void> => {
    await broker.manager.streams.purge("RESULT", { filter, ...of });
  };
  const budget = createResultBudget({
    storedSizes: (subject) => storedSizes(broker, "RESULT", subject),
    purge: (filter, seq) => purge(filter, { seq }),
    groupsOf: (tenant, stream) => heldBy(tenant, stream).map(({ name }) => name),
    floorOf: async (tenant, stream) => {
      const floors = heldBy(tenant, stream).map(async (group) => {
        const progress = await openGroupConsumer(broker, clock, { tenant, group }).progress();
        // Without its consumer nothing is known to be settled; its next member makes it anew.
        return progress?.floorSeq ?? group.startSeq - 1;
      });
      return Math.min(...(await Promise.all(floors)));
    },
    now: clock.now,
    onError: warn,
  });
  const look = async (round: number): Promise<void> => {
    await makeRoom({
      state: async () => {
        const { bytes, bytesMax } = await inspectQueue(broker, "RESULT");
        return { bytes, bytesMax, counts: await waitingBatches(broker, "RESULT") };
      },
      isHeld: (subject) => {
        const [, tenant = "", stream = ""] = subject.split(".");
        return heldBy(tenant, stream).length > 0;
      },
      keepNewest: (subject, keep) => purge(subject, { keep }),
    });
    if (round % sweepEvery !== 0) return;
    const kept = registry.list(defaultTenant).filter(({ outputs }) => outputs?.results !== undefined);
    await budget.sweep(kept.map((stream) => ({ tenant: defaultTenant, stream })));
  };
  const closing = new AbortController();
  let looking: Promise<void> | undefined;
  const loop = async (): Promise<void> => {
    for (let round = 0; !closing.signal.aborted; round++) {
      await look(round).catch((caught: unknown) => warn("results not looked at, trying again", caught));
      await clock.sleep(lookMs, closing.signal);
    }
  };
  const sweeper: Component = {
    name: "result-budget",
    start: async () => {
      looking = loop();
    },
    stop: async () => {
      closing.abort();
      await looking;
    },
  };
  return { budget, components: [groups, sweeper] };
}
