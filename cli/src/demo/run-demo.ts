import { join } from "node:path";
import {
  type Corpus,
  type CorpusSearch,
  loadCorpus,
  type PublishedMessage,
  readTexts,
} from "@millrace/examples";
import type { Clock } from "@millrace/runtime";
import {
  createStreamProcessor,
  type MillraceClient,
  type StreamOptions,
  type StreamProcessor,
} from "@millrace/sdk";
import { checkPlanted } from "./check-planted.js";
import { type Collected, type Collector, createCollector } from "./collector.js";
import { type DemoRun, filesStream, liveStream, prepareRun } from "./demo-run.js";
import { type DemoReport, type DemoSummary, percentile, rounded } from "./summary.js";

export interface DemoOptions {
  client: MillraceClient;
  corpusDir: string;
  models: DemoSummary["models"];
  clock: Clock;
  /** A line that replaces the one before, for people who wait. */
  progress(line: string): void;
  signal: AbortSignal;
}

/** Published per second: live traffic, in the middle of the files' bulk. */
const publishedPerSecond = 40;
/** Longest the job may take until it is called failed. */
const timeoutMs = 240_000;

const settings: StreamOptions = {
  enrichments: { embeddings: true, sentiment: true, textField: "text" },
  outputs: {
    // A run that was stopped goes on from what its subscribers have not read yet.
    results: { age: "24h", bytes: "64MB" },
    artifacts: true,
    search: true,
    events: true,
    storage: { format: "records", rollAge: "2s" },
  },
};

/** The main job: files and published messages through the whole pipeline, then what came out is checked. */
export async function runDemo(options: DemoOptions): Promise<DemoReport> {
  const { client, clock } = options;
  const corpus = loadCorpus(options.corpusDir);
  const total = expectedCount(corpus);
  const expected = {
    files: corpus.files.reduce((sum, { count }) => sum + count, 0),
    live: corpus.published.length,
  };
  const run = await prepareRun(client, expected, clock.now());
  if (run.filesAreDone) options.progress(`${filesStream}: an earlier start read all files\n`);
  if (run.liveIsContinued) options.progress(`${liveStream}: going on where an earlier start was stopped\n`);
  const started = clock.monotonic();
  const startedAt = clock.now();
  await using files = await createStreamProcessor(filesStream, client, {
    ...settings,
    processingMode: "batch",
  });
  await using live = await createStreamProcessor(liveStream, client, {
    ...settings,
    processingMode: "real_time",
  });
  const collector = createCollector(clock.now);
  const following = new AbortController();
  const signal = AbortSignal.any([options.signal, following.signal]);
  const follow = Promise.all([collector.follow(files, signal), collector.follow(live, signal)]);
  try {
    await files.addFileSource({
      path: join(options.corpusDir, "texts"),
      pattern: "*.jsonl",
      pollInterval: "250ms",
    });
    await publishLive(options, { live, run, corpus, collector });
    await untilOut(options, { collector, total });
    const seconds = (clock.monotonic() - started) / 1000;
    await untilSettled(options, [files, live]);
    return await report(options, { corpus, collector, streams: [files, live], seconds, startedAt });
  } finally {
    following.abort();
    await follow.catch(() => undefined);
  }
}

interface Live {
  live: StreamProcessor;
  run: DemoRun;
  corpus: Corpus;
  collector: Collector;
}

/** Open loop: each message has its moment, whatever became of those before it. */
async function publishLive(options: DemoOptions, { live, run, corpus, collector }: Live): Promise<void> {
  const { clock, signal } = options;
  if (run.liveIsContinued) await untilCollected(options, { live, collector });
  const missing = corpus.published.filter(({ id }) => !collector.byId.has(id));
  const begun = clock.monotonic();
  const publishing: Promise<unknown>[] = [];
  for (const [at, message] of missing.entries()) {
    await clock.sleep(begun + (at * 1000) / publishedPerSecond - clock.monotonic(), signal);
    if (signal.aborted) break;
    publishing.push(live.publish(toOutgoing(message)));
    if (at % 20 === 0) options.progress(`published ${at} of ${missing.length}, ${collector.byId.size} out`);
  }
  await Promise.all(publishing);
}

/** What an earlier start published is out and has arrived here: what is missing then was never accepted. */
async function untilCollected(
  options: DemoOptions,
  { live, collector }: Pick<Live, "live" | "collector">,
): Promise<void> {
  const { clock, signal } = options;
  await untilSettled(options, [live]);
  const { conservation } = await live.status();
  const until = clock.monotonic() + 10_000;
  const arrived = (): number =>
    [...collector.byId.values()].filter(({ stream }) => stream === live.name).length;
  while (arrived() < conservation.out && clock.monotonic() < until) await clock.sleep(50, signal);
}

function toOutgoing({ id, sourceId, text }: PublishedMessage) {
  return { text, sourceId, attributes: { corpus_id: id } };
}

async function untilOut(
  options: DemoOptions,
  { collector, total }: { collector: Collector; total: number },
): Promise<void> {
  const { clock, signal } = options;
  const until = clock.monotonic() + timeoutMs;
  while (collector.byId.size < total && clock.monotonic() < until && !signal.aborted) {
    options.progress(`${collector.byId.size} of ${total} messages out`);
    await clock.sleep(100, signal);
  }
}

/** Until the broker holds nothing of the streams any more, and the ledger agrees. */
async function untilSettled(options: DemoOptions, processors: readonly StreamProcessor[]): Promise<void> {
  const { clock, signal } = options;
  const until = clock.monotonic() + 30_000;
  for (const processor of processors) {
    while (clock.monotonic() < until && !signal.aborted) {
      const { conservation } = await processor.status();
      if (conservation.inFlight === 0 && conservation.balanced) break;
      await clock.sleep(100, signal);
    }
  }
}

interface Finished {
  corpus: Corpus;
  collector: Collector;
  streams: readonly StreamProcessor[];
  seconds: number;
  /** Milliseconds since the epoch. */
  startedAt: number;
}

async function report(
  options: DemoOptions,
  { corpus, collector, streams, seconds, startedAt }: Finished,
): Promise<DemoReport> {
  const statuses = await Promise.all(streams.map((processor) => processor.status()));
  const collected = [...collector.byId.values()];
  const latencies = collected
    .filter(({ stream }) => stream === streams[1]?.name)
    .map(({ latencyMs }) => latencyMs);
  const searches = [];
  for (const search of corpus.searches)
    searches.push(await runSearch(options, { search, collector, streams }));
  const planted = checkPlanted(corpus.planted, collector.byId);
  const summary: DemoSummary = {
    ok: true,
    seconds: rounded(seconds),
    streams: statuses.map(({ stream, conservation: { in: came, out, dead, dropped, inFlight } }) => ({
      name: stream.name,
      in: came,
      out,
      dead,
      dropped,
      in_flight: inFlight,
    })),
    mb_per_s: rounded(bytesSince(collected, startedAt) / 1e6 / seconds, 3),
    latency_ms: { p50: rounded(percentile(latencies, 0.5)), p99: rounded(percentile(latencies, 0.99)) },
    findings: countFindings(collected.flatMap(({ message }) => message.findings)),
    searches: searches.map(({ search, hits, ms }) => ({ query: search.query, hits, ms })),
    models: options.models,
  };
  const answers = searches.map(({ search, hits }) => hits.some(({ id }) => search.answer.includes(id)));
  const problems = [
    ...summary.streams
      .filter((line) => line.in !== line.out + line.dead + line.dropped + line.in_flight)
      .map(({ name }) => `${name} is not balanced`),
    ...summary.streams
      .filter((line) => line.in === 0 || line.in_flight > 0)
      .map(({ name }) => `${name} is not finished`),
    ...(collector.repeated() === 0 ? [] : [`${collector.repeated()} messages came more than once`]),
    ...(collected.length === expectedCount(corpus)
      ? []
      : [`${collected.length} of ${expectedCount(corpus)} messages came out`]),
    ...planted.missed.slice(0, 5).map((missed) => `planted item not found: ${missed}`),
    ...searches
      .filter((_, at) => answers[at] !== true)
      .map(({ search }) => `the known answer is not in the top 3 of "${search.query}"`),
  ];
  summary.ok = problems.length === 0;
  return {
    summary,
    problems,
    planted,
    stages: stageCounts(statuses),
    sample: sampleOf(corpus, collector, options.corpusDir),
    answers,
  };
}

interface Searched {
  search: CorpusSearch;
  collector: Collector;
  streams: readonly StreamProcessor[];
}

async function runSearch(options: DemoOptions, { search, collector, streams }: Searched) {
  const { client, clock } = options;
  const begun = clock.monotonic();
  const result = await client.search(search.query, {
    maxResults: 3,
    streams: streams.map(({ name }) => name),
  });
  const ms = rounded(clock.monotonic() - begun);
  const hits = result.hits.map((hit) => {
    const id = collector.corpusIdOf(hit.contentId) ?? hit.contentId;
    return { id, score: rounded(hit.score, 3), text: collector.byId.get(id)?.text ?? hit.text };
  });
  return { search, hits, ms };
}

function countFindings(findings: readonly { type: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { type } of findings) counts[type] = (counts[type] ?? 0) + 1;
  return counts;
}

function stageCounts(
  statuses: readonly { conservation: { in: number }; sinks: readonly { sink: string; messages: number }[] }[],
) {
  const counts = new Map<string, number>([["in", 0]]);
  for (const { conservation, sinks } of statuses) {
    counts.set("in", (counts.get("in") ?? 0) + conservation.in);
    for (const { sink, messages } of sinks) counts.set(sink, (counts.get(sink) ?? 0) + messages);
  }
  return [...counts].map(([stage, messages]) => ({ stage, messages }));
}

function expectedCount(corpus: Corpus): number {
  return corpus.files.reduce((sum, { count }) => sum + count, 0) + corpus.published.length;
}

/** Text that went through the pipeline since this start. */
function bytesSince(collected: readonly Collected[], startedAt: number): number {
  const since = collected.filter(({ message }) => message.acceptedTime.getTime() >= startedAt);
  return since.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0);
}

/** One message with several findings, as it went in and as it came out. */
function sampleOf(corpus: Corpus, collector: Collector, dir: string): DemoReport["sample"] {
  const item = corpus.planted.find(({ type, file }) => type === "CARD" && file.startsWith("texts/"));
  if (item === undefined) return undefined;
  const before = readTexts(join(dir, item.file)).find(({ id }) => id === item.id)?.text;
  const after = collector.byId.get(item.id)?.text;
  return before === undefined || after === undefined ? undefined : { before, after };
}
