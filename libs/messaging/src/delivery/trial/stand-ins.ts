import { createIntervalSet } from "@millrace/envelope";
import type { Stream } from "@millrace/proto/stream";
import type { Ledger } from "../../state/ledger.js";
import type { StreamRegistry } from "../../state/stream-registry.js";

// What handlers are given in a trial, where nothing may be told.

export const registryOf = (stream: Stream): Pick<StreamRegistry, "findFor"> => ({
  findFor: async () => stream,
});

/** Nothing is settled yet, so that every message is looked at. */
export const emptyLedger: Pick<Ledger, "account" | "settle" | "stored"> = {
  account: async () => ({ settled: createIntervalSet([]), done: 0 }),
  settle: () => undefined,
  stored: async () => undefined,
};
