import { join } from "node:path";
import { CodedError } from "@millrace/errors";
import { adminUser, defaultTenant } from "@millrace/messaging";
import { connect, createStreamProcessor, type StreamOptions, type StreamProcessor } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { runOpenLoop } from "../open-loop.js";
import { type Latencies, summarise } from "../percentiles.js";
import { difference } from "../pipeline/line-sum.js";
import { checkManifests } from "../pipeline/stored/check-parts.js";
import { watchParts } from "../pipeline/stored/part-watch.js";
import { sumStored } from "../pipeline/stored/stored-files.js";
import { stageCounts, untilStored } from "../pipeline/stored/stored-watch.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { type ProcessUse, type UseWatch, watchUse } from "../system/process-use.js";
import { createNumberedTexts, type NumberedTexts } from "./numbered-texts.js";

const defaultRate = 20_000;
const warmUpSeconds = 10;
const textBytes = 1024;
/** Each a client with a connection and an epoch of its own. */
const connections = 4;

const declared: StreamOptions = {
  processingMode: "batch",
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    storage: { format: "lines", rollAge: "2s" },
    results: false,
    artifacts: false,
    search: false,
    events: false,
  },
};

interface Outcome {
  /** From the moment at which it should have been sent until it was durable, in ms. */
  latencies: Latencies;
  /** Of those that were measured, from the first one's intended moment to the last acknowledgement. */
  acknowledgedPerSecond: number;
  refused: number;
  /** While it was measured, of this process too. */
  use: Map<string, ProcessUse>;
  measuredGb: number;
  durability: string;
  checked: string;
}

/** Publishes over several connections in open loop until each message is durable and stored. */
export async function runPublish(context: BenchContext): Promise<void> {
  const { rate = defaultRate, seconds, personal, seed } = context.options;
  const texts = createNumberedTexts({ bytes: textBytes, personal, seed });
  const outcome = await withSystem(context, 1, (system) => publish(context, system, texts));
  const { latencies, use, measuredGb, acknowledgedPerSecond, refused } = outcome;
  line(`stream:  ${JSON.stringify(declared)}, durability ${outcome.durability}`);
  line(`load:    ${rate}/s of ${textBytes} B in open loop over ${connections} connections`);
  line(`         ${warmUpSeconds} s warm-up, ${seconds} s measured, ${personal * 100} % with personal data`);
  line(`checked: ${outcome.checked}`);
  line("");
  table([
    ["measured", "acknowledged/s", "ack p50 ms", "p99 ms", "p99.9 ms", "max ms", "refused"],
    [
      String(latencies.count),
      rounded(acknowledgedPerSecond, 0),
      ...[latencies.p50, latencies.p99, latencies.p999, latencies.max].map((ms) => rounded(ms, 1)),
      refused,
    ],
  ]);
  line("");
  table([
    ["process", "CPU-s", "of a core", "CPU-s/GB", "RssAnon max MB"],
    ...[...use].map(([name, { cpuSeconds, rssAnonMb }]) => [
      name,
      rounded(cpuSeconds),
      `${rounded((cpuSeconds / seconds) * 100)} %`,
      rounded(cpuSeconds / measuredGb, 2),
      rounded(rssAnonMb, 0),
    ]),
  ]);
  const result = {
    bench: "publish",
    rate,
    acknowledged_per_s: rounded(acknowledgedPerSecond, 0),
    ack_p50_ms: rounded(latencies.p50, 1),
    ack_p99_ms: rounded(latencies.p99, 1),
    refused,
  };
  const processes = [...use].map(([name, { cpuSeconds, rssAnonMb }]) => ({
    name,
    cpu_s_per_gb: rounded(cpuSeconds / measuredGb, 3),
    rss_anon_max_mb: rounded(rssAnonMb, 0),
  }));
  const { durability, checked } = outcome;
  keepResult(context, result, { connections, latencies, durability, checked, stream: declared, processes });
  // What was sent in open loop and came late is a backlog that grew.
  const isSustained = acknowledgedPerSecond >= rate * 0.99 && refused === 0;
  if (!isSustained) note(`${rate}/s were not sustained`);
  if (!isSustained) process.exitCode = 1;
}

const stream = "bench-publish";

async function publish(context: BenchContext, system: BenchSystem, texts: NumberedTexts): Promise<Outcome> {
  const { rate = defaultRate, seconds } = context.options;
  const { signal } = context;
  const perConnection = Math.ceil((rate * (warmUpSeconds + seconds)) / connections);
  const count = perConnection * connections;
  const broker = await system.broker(adminUser);
  await using processor = await createStreamProcessor(stream, system.client, declared);
  const dir = join(system.stateDir, "data", "output", defaultTenant, stream);
  const parts = watchParts(dir, signal);
  const clients = Array.from({ length: connections }, () => connect({ address: system.client.address }));
  try {
    const stored = untilStored(broker, { stream, lines: count, signal, onProgress: () => undefined });
    stored.catch(() => undefined);
    const publishers = await Promise.all(clients.map((client) => createStreamProcessor(stream, client)));
    const sent = await send(context, { publishers, texts, count, stateDir: system.stateDir });
    if (sent.refused > 0) {
      const problem = `${sent.refused} messages were refused, the first with: ${sent.firstRefusal}`;
      throw new CodedError("resource_exhausted", `bench publish: ${problem}`, {
        remedy: "Ask for a lower --rate: this one is more than the system takes.",
      });
    }
    note("waiting until all is stored");
    await stored;
    const counts = await stageCounts(broker, stream);
    if (counts["store"] !== count) throw wrong(`stored: ${JSON.stringify(counts)}`);
    const expected = texts.expected(count);
    const manifests = await parts.untilPublished(count);
    const foretold = {
      messages: count,
      bytes: expected.bytes,
      sources: connections,
      positions: perConnection,
    };
    const different =
      checkManifests(manifests, foretold) ?? difference(expected, await sumStored(dir, signal));
    if (different !== undefined) throw wrong(different);
    const { durability } = await processor.status();
    const checked = `${count} lines stored once and equal to an independent redaction, by their sum; lost 0`;
    return { ...sent, durability, checked };
  } finally {
    parts.stop();
    await Promise.all(clients.map((client) => client.close()));
  }
}

interface Sending {
  publishers: readonly StreamProcessor[];
  texts: NumberedTexts;
  count: number;
  stateDir: string;
}

type Sent = Omit<Outcome, "durability" | "checked"> & { firstRefusal: string };

async function send(context: BenchContext, sending: Sending): Promise<Sent> {
  const { rate = defaultRate } = context.options;
  const { publishers, texts, count, stateDir } = sending;
  const warmUp = Math.round(rate * warmUpSeconds);
  const latencies = new Float64Array(count).fill(Number.NaN);
  const state = { refused: 0, firstRefusal: "", lastAckMs: 0, firstMs: 0, settled: 0 };
  let use: (UseWatch & { cpu: NodeJS.CpuUsage }) | undefined;
  let done: (() => void) | undefined;
  const all = new Promise<void>((resolve) => (done = resolve));
  const settle = (): void => {
    if (++state.settled === count) done?.();
  };
  await runOpenLoop({
    ratePerSecond: rate,
    count,
    signal: context.signal,
    send: (number, intendedMs) => {
      if (number === warmUp) {
        note("measuring");
        state.firstMs = intendedMs;
        use = { ...watchUse(stateDir), cpu: process.cpuUsage() };
      }
      const publisher = publishers[number % connections];
      publisher?.publish(texts.text(number)).then(
        () => {
          state.lastAckMs = performance.now();
          latencies[number] = state.lastAckMs - intendedMs;
          settle();
        },
        (error: unknown) => {
          if (state.refused++ === 0) state.firstRefusal = String(error);
          settle();
        },
      );
    },
  });
  await all;
  const measured = [...latencies.subarray(warmUp)].filter((ms) => !Number.isNaN(ms));
  const used = use?.stop() ?? new Map<string, ProcessUse>();
  const own = process.cpuUsage(use?.cpu);
  used.set("publishing clients", {
    cpuSeconds: (own.user + own.system) / 1e6,
    kernelSeconds: own.system / 1e6,
    rssAnonMb: process.memoryUsage().rss / 1e6,
  });
  return {
    latencies: summarise(measured),
    acknowledgedPerSecond: (measured.length / (state.lastAckMs - state.firstMs)) * 1e3,
    refused: state.refused,
    firstRefusal: state.firstRefusal,
    use: used,
    measuredGb: (measured.length * textBytes) / 1e9,
  };
}

function wrong(what: string): CodedError {
  return new CodedError("data_loss", `bench publish: no figure, since the output is wrong. ${what}`);
}
