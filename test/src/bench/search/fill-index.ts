import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import { decodeHalf, encodeHalf } from "@millrace/envelope";
import { type Broker, createPublisher, defaultTenant, subjects, tailStream } from "@millrace/messaging";
import { StoredEmbedding } from "@millrace/proto/work";
import type { StreamProcessor } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { note } from "../report.js";
import { digits, seeded } from "../seeded.js";
import type { BenchSystem } from "../system/bench-system.js";
import { drawVector } from "./drawn-vectors.js";
import type { VectorSet } from "./exact-scan.js";
import type { CorpusText } from "./query-texts.js";

export interface FillOptions {
  context: BenchContext;
  system: BenchSystem;
  processor: StreamProcessor;
  texts: readonly CorpusText[];
  /** Vectors in all; those of the texts are among them. */
  total: number;
}

/**
 * Fills the index: the texts by the whole pipeline, the rest drawn around their vectors. Returns what it
 * holds.
 */
export async function fillIndex(options: FillOptions): Promise<VectorSet> {
  const { context, system, processor, texts, total } = options;
  const { signal, workDir } = context;
  const dir = join(workDir, "texts");
  await mkdir(dir);
  const lines = texts.map(({ id, text }) => `${JSON.stringify({ id, text })}\n`);
  await writeFile(join(dir, "texts.jsonl"), lines.join(""));
  await processor.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "100ms" });
  note(`embedding ${texts.length} texts`);
  // It may write vectors; the other users may not.
  const broker = await system.broker("semantic-search");
  const stored = await readStored(broker, processor.name, { count: texts.length, signal });
  const real = toSet(stored);
  const random = seeded(context.options.seed);
  const drawn = Array.from({ length: total - stored.length }, (_, at): StoredEmbedding => {
    const { centre, vector } = drawVector(random, real);
    const near = stored[centre];
    if (near === undefined) throw new CodedError("internal", "bench search: no vector to draw around");
    const contentId = `${at.toString(16).padStart(8, "0")}${digits(random, 24)}`;
    return { ...near, contentId, vector: encodeHalf(vector) };
  });
  note(`writing ${drawn.length} vectors around them`);
  await writeAll(broker, drawn, signal);
  await untilIndexed(system, total, signal);
  return toSet([...stored, ...drawn]);
}

interface Wanted {
  count: number;
  signal: AbortSignal;
}

async function readStored(
  broker: Broker,
  stream: string,
  { count, signal }: Wanted,
): Promise<StoredEmbedding[]> {
  const byId = new Map<string, StoredEmbedding>();
  const filter = subjects.embeddingsOf(defaultTenant, stream);
  for await (const { data } of tailStream(broker, { jetStream: "EMBEDDINGS", filter, from: 1, signal })) {
    const stored = StoredEmbedding.decode(data);
    byId.set(stored.contentId, stored);
    if (byId.size % 500 === 0) note(`  ${byId.size} embedded`);
    if (byId.size === count) break;
  }
  signal.throwIfAborted();
  // By id, so that a seed draws the same vectors whatever order they were embedded in.
  return [...byId.values()].sort((left, right) => (left.contentId < right.contentId ? -1 : 1));
}

const writesInFlightMax = 64;

async function writeAll(
  broker: Broker,
  embeddings: readonly StoredEmbedding[],
  signal: AbortSignal,
): Promise<void> {
  const publisher = createPublisher(broker);
  for (let at = 0; at < embeddings.length; at += writesInFlightMax) {
    signal.throwIfAborted();
    const some = embeddings.slice(at, at + writesInFlightMax);
    await Promise.all(
      some.map((stored) =>
        publisher.publish({
          subject: subjects.embedding(stored.tenant, stored.stream, stored.contentId),
          data: StoredEmbedding.encode(stored).finish(),
          id: stored.contentId,
        }),
      ),
    );
  }
}

const indexedTimeoutMs = 120_000;

async function untilIndexed(system: BenchSystem, count: number, signal: AbortSignal): Promise<void> {
  const url = `http://127.0.0.1:${system.httpPort("semantic-search")}/metrics`;
  const until = performance.now() + indexedTimeoutMs;
  for (;;) {
    const text = await (await fetch(url, { signal })).text();
    const indexed = Number(/^millrace_index_vectors(?:\{.*\})? (\S+)/m.exec(text)?.[1] ?? 0);
    if (indexed >= count) return;
    if (performance.now() > until) {
      throw new CodedError("deadline_exceeded", `bench search: ${indexed} of ${count} vectors are indexed`);
    }
    await sleep(100, undefined, { signal });
  }
}

function toSet(stored: readonly StoredEmbedding[]): VectorSet {
  const dimensions = stored[0]?.dimensions ?? 0;
  const vectors = new Float32Array(stored.length * dimensions);
  stored.forEach(({ vector }, at) => vectors.set(decodeHalf(vector), at * dimensions));
  return { dimensions, ids: stored.map(({ contentId }) => contentId), vectors };
}
