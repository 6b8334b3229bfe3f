import { emptyLedger, type MakeTryBatch, registryOf } from "@millrace/messaging";
import { publishResults } from "./publish-results.js";

/** For trials: the results of a batch, published nowhere. */
export const tryBatch: MakeTryBatch = async () => (open, stream) => {
  const parts = {
    ledger: emptyLedger,
    budget: { room: async () => undefined, stored: () => undefined, ages: () => true, add: () => undefined },
    version: "",
    now: () => 0,
  };
  return publishResults({ ...parts, registry: registryOf(stream) })(open, new AbortController().signal);
};
