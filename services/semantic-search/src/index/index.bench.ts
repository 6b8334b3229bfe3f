/*
 * The index on clustered unit vectors, against an exact scan of the original floats:
 *
 *   node dist/index/index.bench.js [vectors=20000] [seed=1]
 *
 * Results on stdout, one JSON object per phase. Searches are sent one at a time; "adding" is the same while
 * upserts of new vectors keep the thread saturated, which is its worst case.
 */
import { exactSearch, MetricKind } from "usearch";
import { clusteredVectors } from "./bench-data.js";
import { createVectorIndex, type IndexedContent, type VectorIndex } from "./vector-index.js";

const dimensions = 384;
const results = 10;
const queryCount = 1000;
const batch = 512;
const artifacts = 50;

const vectors = Number(process.argv[2] ?? 20_000);
const seed = Number(process.argv[3] ?? 1);

function contents(from: number, count: number): IndexedContent[] {
  return Array.from({ length: count }, (_, at) => ({
    id: (from + at).toString(16).padStart(32, "0"),
    artifact: `artifact-${(from + at) % artifacts}`,
    stream: "bench",
    tenant: "bench",
    sourceId: "bench",
    eventTimeMs: 0,
  }));
}

async function fill(index: VectorIndex, from: number, packed: Float32Array): Promise<void> {
  for (let at = 0; at * dimensions < packed.length; at += batch) {
    const part = packed.subarray(at * dimensions, (at + batch) * dimensions);
    await index.upsert(contents(from + at, part.length / dimensions), part);
  }
}

interface SearchRun {
  found: string[][];
  timesMs: number[];
}

async function runSearches(index: VectorIndex, queries: Float32Array, artifact?: string): Promise<SearchRun> {
  const run: SearchRun = { found: [], timesMs: [] };
  for (let at = 0; at < queryCount; at++) {
    const vector = queries.subarray(at * dimensions, (at + 1) * dimensions);
    const filter = artifact === undefined ? {} : { artifacts: [artifact] };
    const startMs = performance.now();
    const hits = await index.search({ tenant: "bench", vector, maxResults: results, ...filter });
    run.timesMs.push(performance.now() - startMs);
    run.found.push(hits.map(({ id }) => id));
  }
  return run;
}

function exactAnswers(packed: Float32Array, queries: Float32Array): string[][] {
  return Array.from({ length: queryCount }, (_, at) => {
    // A copy: exactSearch ignores where a view starts in its buffer.
    const query = queries.slice(at * dimensions, (at + 1) * dimensions);
    const { keys } = exactSearch(packed, query, dimensions, results, MetricKind.IP, 1);
    return Array.from(keys as BigUint64Array, (key) => key.toString(16).padStart(32, "0"));
  });
}

function recallOf(found: string[][], truth: string[][]): number {
  const hits = found.reduce((sum, ids, at) => sum + ids.filter((id) => truth[at]?.includes(id)).length, 0);
  return hits / (truth.length * results);
}

function percentiles(timesMs: number[]): { p50_ms: number; p99_ms: number; max_ms: number } {
  const sorted = [...timesMs].sort((one, other) => one - other);
  const at = (share: number) => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(3));
  return { p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(0.99999) };
}

function report(phase: string, figures: object): void {
  process.stdout.write(`${JSON.stringify({ bench: "index", phase, vectors, ...figures })}\n`);
}

/** Until the graph has everything: searches then take no tail. */
async function settle(index: VectorIndex): Promise<void> {
  const probe = new Float32Array(dimensions).fill(1);
  let quick = 0;
  while (quick < 50) {
    const startMs = performance.now();
    await index.search({ tenant: "bench", vector: probe, maxResults: 1 });
    quick = performance.now() - startMs < 1 ? quick + 1 : 0;
  }
}

const draw = clusteredVectors({ dimensions, clusters: Math.max(50, vectors / 100), spread: 0.7, seed });
const packed = draw(vectors);
const queries = draw(queryCount);
const extra = draw(Math.min(vectors, 10_000));
const truth = exactAnswers(packed, queries);

const rssBefore = process.memoryUsage().rss;
const index = await createVectorIndex({ dimensions, model: "bench" });
const startMs = performance.now();
await fill(index, 0, packed);
const acceptedMs = performance.now() - startMs;
const early = await runSearches(index, queries);
report("catching up", { ...percentiles(early.timesMs), recall_at_10: recallOf(early.found, truth) });
await settle(index);
const builtMs = performance.now() - startMs;
const { bytes } = index.size();
report("build", {
  accepted_s: Number((acceptedMs / 1000).toFixed(1)),
  built_s: Number((builtMs / 1000).toFixed(1)),
  bytes_per_vector: Math.round(bytes / vectors),
  rss_bytes_per_vector: Math.round((process.memoryUsage().rss - rssBefore) / vectors),
});
const idle = await runSearches(index, queries);
report("idle", { ...percentiles(idle.timesMs), recall_at_10: recallOf(idle.found, truth) });
const filtered = await runSearches(index, queries, "artifact-7");
report("one artifact of 50", percentiles(filtered.timesMs));
let isAdding = true;
const adding = fill(index, vectors, extra).then(() => {
  isAdding = false;
});
const busy: SearchRun = { found: [], timesMs: [] };
while (isAdding) busy.timesMs.push(...(await runSearches(index, queries)).timesMs);
await adding;
report("adding", { ...percentiles(busy.timesMs), searches: busy.timesMs.length });
await index.close();
