import { ask, embedEndpoint, type Broker } from "@millrace/messaging";
import { EmbedRequest } from "@millrace/proto/work";
import { createStreamProcessor, type MillraceClient, type StreamOptions } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { runOpenLoop } from "../open-loop.js";
import { summarise } from "../percentiles.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { seeded } from "../seeded.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { exactNearest, recallOf, type VectorSet } from "./exact-scan.js";
import { fillIndex } from "./fill-index.js";
import { corpusTexts, drawQueries } from "./query-texts.js";

const vectorsTotal = 20_000;
const textsEmbedded = 2_000;
const queriesMeasured = 500;
const queriesPerSecond = 50;
const warmUpSeconds = 10;
const hitsWanted = 10;

const declared: StreamOptions = {
  processingMode: "batch",
  enrichments: { embeddings: true, sentiment: false, textField: "text" },
  outputs: { results: false, artifacts: true, search: true, events: false },
};

interface Answer {
  /** From the intended moment of asking. */
  ms: number;
  ids: string[];
}

/**
 * Text queries through the gateway in open loop, embedding included, and how many of the nearest they find.
 */
export async function runSearch(context: BenchContext): Promise<void> {
  const { options, shape, supplies, root } = context;
  const { answers, failed, recall } = await withSystem(context, shape.cores, async (system) => {
    await using processor = await createStreamProcessor("bench-search", system.client, declared);
    const all = corpusTexts(root);
    const texts = all.slice(0, textsEmbedded);
    const set = await fillIndex({ context, system, processor, texts, total: vectorsTotal });
    const asked = queriesMeasured + queriesPerSecond * warmUpSeconds;
    const queries = drawQueries(all, asked, seeded(options.seed + 1));
    const measured = await askAll(context, system.client, queries);
    note("scanning all vectors for each query");
    return { ...measured, recall: await meanRecall(system, set, { queries, answers: measured.answers }) };
  });
  const { count, p50, p90, p99, p999, max } = summarise([...answers.values()].map(({ ms }) => ms));
  line(`stream:  ${JSON.stringify(declared)}`);
  line(`model:   ${supplies.model.name}, ${supplies.model.dimensions} dimensions`);
  line(`index:   ${vectorsTotal} vectors, ${textsEmbedded} by the model, the others drawn around them`);
  const load = `${queriesPerSecond}/s in open loop, ${warmUpSeconds} s warm-up`;
  line(`load:    ${load}, ${queriesMeasured} queries measured`);
  line("");
  table([
    ["measured", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "recall@10", "failed"],
    [String(count), ...[p50, p90, p99, p999, max].map((ms) => rounded(ms, 2)), rounded(recall, 4), failed],
  ]);
  const result = {
    bench: "search",
    vectors: vectorsTotal,
    p50_ms: rounded(p50, 2),
    p99_ms: rounded(p99, 2),
    recall_at_10: rounded(recall, 4),
  };
  const details = {
    p90_ms: rounded(p90, 2),
    max_ms: rounded(max, 2),
    measured: count,
    failed,
    stream: declared,
  };
  keepResult(context, result, { ...details, model: supplies.model.name });
  if (failed > 0) process.exitCode = 1;
}

interface Measured {
  /** By query; those of the warm-up and those that failed are not in it. */
  answers: Map<string, Answer>;
  failed: number;
}

async function askAll(
  { signal }: BenchContext,
  client: MillraceClient,
  queries: string[],
): Promise<Measured> {
  const warmUp = queriesPerSecond * warmUpSeconds;
  const answers = new Map<string, Answer>();
  let failed = 0;
  const asking: Promise<void>[] = [];
  await runOpenLoop({
    ratePerSecond: queriesPerSecond,
    count: queries.length,
    signal,
    send: (index, intendedMs) => {
      const query = queries[index] ?? "";
      if (index === warmUp) note("measuring");
      const asked = client.search(query, { maxResults: hitsWanted }).then(
        ({ hits }) => {
          const ms = performance.now() - intendedMs;
          if (index >= warmUp) answers.set(query, { ms, ids: hits.map(({ contentId }) => contentId) });
        },
        (error: unknown) => {
          failed++;
          note(`a search failed: ${String(error)}`);
        },
      );
      asking.push(asked);
    },
  });
  await Promise.all(asking);
  return { answers, failed };
}

interface Asked {
  queries: readonly string[];
  answers: ReadonlyMap<string, Answer>;
}

/** A query that was not answered has found nothing. */
async function meanRecall(system: BenchSystem, set: VectorSet, { queries, answers }: Asked): Promise<number> {
  const broker = await system.broker("gateway");
  const measured = queries.slice(-queriesMeasured);
  let sum = 0;
  for (const query of measured) {
    const exact = exactNearest(set, await embedQuery(broker, query), hitsWanted);
    sum += recallOf(exact, answers.get(query)?.ids ?? []);
  }
  return sum / measured.length;
}

/** By the same model as the gateway's searches, through the same endpoint. */
async function embedQuery(broker: Broker, query: string): Promise<Float32Array> {
  const { vectors } = await ask(
    broker,
    embedEndpoint,
    EmbedRequest.fromPartial({ texts: [query], query: true }),
    5_000,
  );
  const bytes = Uint8Array.from(vectors);
  return new Float32Array(bytes.buffer, 0, bytes.length / 4);
}
