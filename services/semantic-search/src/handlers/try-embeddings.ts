import { emptyLedger, type MakeTryBatch, registryOf } from "@millrace/messaging";
import { storeEmbeddings } from "./store-embeddings.js";

/** For trials: the vectors of a batch, published nowhere. */
export const tryBatch: MakeTryBatch = async () => async (open, stream) => {
  const handle = storeEmbeddings({
    registry: registryOf(stream),
    ledger: emptyLedger,
    // A trial ends before what comes after publishing.
    similarPairs: async () => [],
    publisher: { publish: async () => ({ jetStream: "", seq: 0, duplicate: false }) },
    now: () => 0,
  });
  const { publish = [] } = await handle(open, new AbortController().signal);
  return [...publish];
};
