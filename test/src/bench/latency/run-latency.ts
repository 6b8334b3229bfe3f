import { setTimeout as sleep } from "node:timers/promises";
import { CodedError } from "@millrace/errors";
import { connect, createStreamProcessor, type StreamOptions, type StreamProcessor } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { runOpenLoop } from "../open-loop.js";
import { summarise } from "../percentiles.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { withSystem } from "../system/bench-system.js";
import { type ProcessUse, watchUse } from "../system/process-use.js";
import { createHopTimes, type HopTimes, tellHopTimes } from "./hop-times.js";

/** Messages a second. */
const defaultRate = 1_000;
const warmUpSeconds = 10;
const textBytes = 256;
/** How long messages that are on their way may still take; those that take longer are lost. */
const graceMs = 10_000;

const declared: StreamOptions = {
  processingMode: "real_time",
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: true, artifacts: false, search: false, events: false },
};

interface Received {
  /** By sequence number: from the intended moment of sending to the arrival, in ms; NaN until it arrives. */
  latencies: Float64Array;
  count: number;
  duplicates: number;
}

interface Outcome {
  received: Received;
  refused: number;
  /** Sequence numbers below are warm-up. */
  warmUp: number;
  durability: string;
  /** Of the messages that are measured. */
  hops: HopTimes;
  /** By program, and of the clients in this process, while they were sent. */
  use: Map<string, ProcessUse>;
}

/**
 * gRPC publish → gRPC subscribe through the whole system, in open loop from the intended moment of sending.
 */
export async function runLatency(context: BenchContext): Promise<void> {
  const { rate = defaultRate, seconds } = context.options;
  const outcome = await withSystem(context, 1, async ({ client, stateDir }) => {
    // A connection of its own, as a subscriber elsewhere would have.
    await using subscriber = connect({ address: client.address });
    const stream = "bench-latency";
    await using publishing = await createStreamProcessor(stream, client, declared);
    await using subscribing = await createStreamProcessor(stream, subscriber);
    return await measure(context, { publishing, subscribing, stateDir });
  });
  const { received, warmUp } = outcome;
  const measured = [...received.latencies.subarray(warmUp)];
  if (received.count === 0) throw new CodedError("unavailable", "bench latency: no message came out");
  const latencies = summarise(measured.filter((ms) => !Number.isNaN(ms)));
  const lost = received.latencies.length - received.count;
  line(`stream:  ${JSON.stringify(declared)}, durability ${outcome.durability}`);
  line(
    `load:    ${rate}/s of ${textBytes} B in open loop, ${warmUpSeconds} s warm-up, ${seconds} s measured`,
  );
  line("");
  const { count, p50, p90, p99, p999, max } = latencies;
  table([
    ["measured", "p50 ms", "p90 ms", "p99 ms", "p99.9 ms", "max ms", "lost", "duplicates", "refused"],
    [
      String(count),
      ...[p50, p90, p99, p999, max].map((ms) => rounded(ms, 2)),
      lost,
      received.duplicates,
      outcome.refused,
    ],
  ]);
  line("");
  tellHopTimes(outcome.hops);
  line("");
  tellUse(outcome.use, seconds);
  const result = { bench: "latency", rate, p50_ms: rounded(p50, 2), p99_ms: rounded(p99, 2), lost };
  const details = {
    p90_ms: rounded(p90, 2),
    p999_ms: rounded(p999, 2),
    max_ms: rounded(max, 2),
    measured: count,
    duplicates: received.duplicates,
    refused: outcome.refused,
    durability: outcome.durability,
    stream: declared,
    messages_per_batch: rounded(outcome.hops.messagesPerBatch(), 2),
    parts_ms: outcome.hops.parts().map(({ part, p50: half, p99: tail }) => ({
      part,
      p50: rounded(half, 2),
      p99: rounded(tail, 2),
    })),
    cores_used: coresUsed(outcome.use, seconds),
  };
  keepResult(context, result, details);
  if (lost > 0 || received.duplicates > 0) {
    note(`${lost} messages were lost and ${received.duplicates} came twice`);
    process.exitCode = 1;
  }
}

interface Measured {
  publishing: StreamProcessor;
  subscribing: StreamProcessor;
  stateDir: string;
}

async function measure(
  { options, signal }: BenchContext,
  { publishing, subscribing, stateDir }: Measured,
): Promise<Outcome> {
  const { rate = defaultRate, seconds } = options;
  const warmUp = Math.round(rate * warmUpSeconds);
  const count = warmUp + Math.round(rate * seconds);
  const intended = new Float64Array(count);
  const received: Received = { latencies: new Float64Array(count).fill(NaN), count: 0, duplicates: 0 };
  const reading = new AbortController();
  const hops = createHopTimes();
  const following = follow(subscribing, {
    intended,
    received,
    hops,
    warmUp,
    signal: AbortSignal.any([reading.signal, signal]),
  });
  const { durability } = await publishing.status();
  // A subscription from "earliest" misses nothing, whenever it opens.
  let refused = 0;
  let watching: (() => Map<string, ProcessUse>) | undefined;
  // Counted: 60,000 promises that are kept make each collection of this process longer.
  let answered = 0;
  const answer = (): void => void answered++;
  const refuse = (error: unknown): void => {
    answered++;
    if (refused++ === 0) note(`the first refusal: ${String(error)}`);
  };
  try {
    await runOpenLoop({
      ratePerSecond: rate,
      count,
      signal,
      send: (sequence, intendedMs) => {
        intended[sequence] = intendedMs;
        if (sequence === warmUp) {
          note("measuring");
          watching = watchAll(stateDir);
        }
        const text = textOf(sequence);
        publishing.publish({ text, sourceId: `source-${sequence % 16}` }).then(answer, refuse);
      },
    });
    const use = watching?.() ?? new Map<string, ProcessUse>();
    const until = performance.now() + graceMs;
    while ((answered < count || received.count < count) && performance.now() < until)
      await sleep(50, undefined, { signal });
    // A repeat comes right behind its original or not at all.
    await sleep(500, undefined, { signal });
    return { received, refused, warmUp, durability, hops, use };
  } finally {
    reading.abort();
    await following;
  }
}

/** The programs, and this process, which sends and receives. */
function watchAll(stateDir: string): () => Map<string, ProcessUse> {
  const watch = watchUse(stateDir);
  const before = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(before);
    const rssAnonMb = process.memoryUsage().rss / 1e6;
    const own = { cpuSeconds: (user + system) / 1e6, kernelSeconds: system / 1e6, rssAnonMb };
    return watch.stop().set("clients", own);
  };
}

interface Following {
  intended: Float64Array;
  received: Received;
  hops: HopTimes;
  warmUp: number;
  signal: AbortSignal;
}

async function follow(processor: StreamProcessor, following: Following): Promise<void> {
  const { intended, received, hops, warmUp, signal } = following;
  for await (const message of processor.subscribe({ from: "earliest", signal })) {
    const now = performance.now();
    const sequence = message.kind === "text" ? Number.parseInt(message.text, 10) : -1;
    if (!Number.isNaN(received.latencies[sequence] ?? 0)) received.duplicates++;
    else {
      const intendedMs = intended[sequence] ?? 0;
      received.latencies[sequence] = now - intendedMs;
      received.count++;
      if (sequence >= warmUp) hops.add(message, { intendedMs, receivedMs: now });
    }
  }
}

/** The sequence number, then words, 256 bytes in all. */
function textOf(sequence: number): string {
  return `${sequence} of the orders that were accepted `.padEnd(textBytes, "and sent to the kitchen ");
}

function tellUse(use: Outcome["use"], seconds: number): void {
  table([
    ["process", "cores used", "of them kernel", "MB of its own"],
    ...[...use].map(([name, { cpuSeconds, kernelSeconds, rssAnonMb }]) => [
      name,
      rounded(cpuSeconds / seconds, 3),
      rounded(kernelSeconds / seconds, 3),
      rounded(rssAnonMb, 0),
    ]),
  ]);
}

function coresUsed(use: Outcome["use"], seconds: number): Record<string, number> {
  return Object.fromEntries(
    [...use].map(([name, { cpuSeconds }]) => [name, rounded(cpuSeconds / seconds, 3)]),
  );
}
