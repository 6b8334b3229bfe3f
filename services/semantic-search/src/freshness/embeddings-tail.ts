import { decodeHalf } from "@millrace/envelope";
import { type Broker, hasStoredFrom, streamBounds, tailStream } from "@millrace/messaging";
import { StoredEmbedding } from "@millrace/proto/work";
import type { Component, Runtime } from "@millrace/runtime";
import type { IndexedContent, VectorIndex } from "../index/vector-index.js";

export interface EmbeddingsTail extends Component {
  /**
   * Whether every message of EMBEDDINGS up to a sequence number, of those that are still stored, is in the
   * index.
   */
  hasReached(seq: number): Promise<boolean>;
  /** The number under which a content was stored last, where that was among the last `recentMax`. */
  seqOf(contentId: string): number | undefined;
}

/** Vectors handed to the index at once: it answers searches in between. */
const chunkVectorsMax = 128;

/** Contents whose number is remembered: far more than are being stored at any moment. */
const recentMax = 16_384;

/** A chunk waits no longer for its next vector: a purge takes messages that were counted as pending. */
const lullMs = 100;

/** Follows EMBEDDINGS into the index from its beginning: the index is a view, and a start rebuilds it. */
export function createEmbeddingsTail(options: {
  broker: Broker;
  index: VectorIndex;
  runtime: Runtime;
}): EmbeddingsTail {
  const { broker, index, runtime } = options;
  const { log, metrics } = runtime;
  const foreign = metrics.counter(
    "millrace_embeddings_skipped_total",
    "Vectors of another model than the index's.",
    ["reason"],
  );
  const indexed = metrics.gauge("millrace_index_vectors", "Vectors in the index.");
  const closing = new AbortController();
  let reached = 0;
  let rebuilt = false;
  let lastError: string | undefined;
  const recent = new Map<string, number>();

  const remember = (chunk: readonly StoredEmbedding[], seqs: readonly number[]): void => {
    for (const [at, { contentId }] of chunk.entries()) {
      // Said again, it is the youngest of the map's order.
      recent.delete(contentId);
      recent.set(contentId, seqs[at] ?? 0);
    }
    for (const contentId of recent.keys()) {
      if (recent.size <= recentMax) return;
      recent.delete(contentId);
    }
  };

  const apply = async (chunk: readonly StoredEmbedding[]): Promise<void> => {
    // The last one of a content wins, also within a chunk.
    const last = new Map(chunk.map((stored) => [stored.contentId, stored]));
    const removed = [...last.values()]
      .filter((stored) => stored.vector.length === 0)
      .map(({ contentId }) => contentId);
    const added = [...last.values()].filter((stored) => {
      if (stored.vector.length === 0) return false;
      const fits = stored.model === index.model && stored.dimensions === index.dimensions;
      if (!fits) foreign.inc({ reason: "model" });
      return fits;
    });
    const packed = new Float32Array(added.length * index.dimensions);
    added.forEach((stored, at) => packed.set(decodeHalf(stored.vector), at * index.dimensions));
    if (removed.length > 0) await index.remove(removed);
    if (added.length > 0) await index.upsert(added.map(contentOf), packed);
    indexed.set(index.size().vectors);
  };

  const follow = async (): Promise<void> => {
    const ended = new AbortController();
    const signal = AbortSignal.any([closing.signal, ended.signal]);
    const from = { jetStream: "EMBEDDINGS", filter: "embedding.>", from: reached + 1, signal };
    const tailed = tailStream(broker, from);
    const ask = () => {
      const asked = tailed.next();
      // It may fail while a chunk is applied: told when it is waited for.
      asked.catch(() => undefined);
      return asked;
    };
    try {
      for (let next = ask(); ; ) {
        const first = await next;
        if (first.done === true) return;
        const waited = new AbortController();
        const lull = runtime.clock.sleep(lullMs, AbortSignal.any([signal, waited.signal]));
        const chunk = [StoredEmbedding.decode(first.value.data)];
        const seqs = [first.value.seq];
        let last = first.value;
        next = ask();
        while (chunk.length < chunkVectorsMax && last.pending > 0) {
          const item = await Promise.race([next, lull]);
          if (item === undefined || item.done === true) break;
          chunk.push(StoredEmbedding.decode(item.value.data));
          seqs.push(item.value.seq);
          last = item.value;
          next = ask();
        }
        waited.abort();
        await apply(chunk);
        remember(chunk, seqs);
        reached = last.seq;
      }
    } finally {
      ended.abort();
      await tailed.return(undefined);
    }
  };

  const loop = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      try {
        await follow();
        lastError = undefined;
      } catch (caught) {
        lastError = `following EMBEDDINGS: ${String(caught)}`;
        log.warn("tail of EMBEDDINGS broke, starting it again", { error: String(caught) });
      }
      await runtime.clock.sleep(500, closing.signal);
    }
  };

  /** A purge may have removed the last messages, which the tail then never meets: ask whether any is left. */
  const hasReached = async (seq: number): Promise<boolean> =>
    reached >= seq ||
    !(await hasStoredFrom(broker, { jetStream: "EMBEDDINGS", filter: "embedding.>", seq: reached + 1 }));

  const untilRebuilt = async (): Promise<void> => {
    const { last } = await streamBounds(broker, "EMBEDDINGS");
    while (!closing.signal.aborted && !(await hasReached(last)))
      await runtime.clock.sleep(50, closing.signal);
    rebuilt = true;
    log.info("index rebuilt from stored vectors", { vectors: index.size().vectors });
  };

  let running: Promise<void> | undefined;
  return {
    name: "embeddings-tail",
    hasReached,
    seqOf: (contentId) => recent.get(contentId),
    start: async () => {
      running = loop();
      await untilRebuilt();
    },
    stop: async () => {
      closing.abort();
      await running;
    },
    health: () => lastError ?? (rebuilt ? undefined : "indexing stored vectors"),
  };
}

function contentOf(stored: StoredEmbedding): IndexedContent {
  const { contentId, artifact, stream, tenant, sourceId, eventTimeMs } = stored;
  return { id: contentId, artifact, stream, tenant, sourceId, eventTimeMs };
}
