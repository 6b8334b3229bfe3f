import { setTimeout as sleep } from "node:timers/promises";
import { createStreamProcessor, type StreamOptions, type StreamProcessor } from "@millrace/sdk";
import type { BenchContext } from "../bench-context.js";
import { runOpenLoop } from "../open-loop.js";
import { line, note, rounded, table } from "../report.js";
import { keepResult } from "../results.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { type ProcessUse, watchUse } from "../system/process-use.js";
import { type Audience, type AudienceReport, openAudience } from "./audience.js";

const cases = [
  { subscribers: 1_000, rate: 20 },
  { subscribers: 100, rate: 200 },
] as const;
const warmUpSeconds = 10;
const textBytes = 1024;
/** How long a stalled call's windows and buffers take what is sent to it, and then wait. */
const stallSeconds = 10;
const graceMs = 2_000;

const declared: StreamOptions = {
  processingMode: "real_time",
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: true, artifacts: false, search: false, events: false },
};

interface Case {
  subscribers: number;
  rate: number;
}

interface Outcome extends Case {
  alone: AudienceReport;
  /** The same with one more subscriber, which does not read. */
  beside: AudienceReport;
  refused: number;
  use: Map<string, ProcessUse>;
}

/** Many subscribers of one stream, in open loop from the intended moment of sending. */
export async function runSubscribers(context: BenchContext): Promise<void> {
  const { seconds } = context.options;
  const outcomes: Outcome[] = [];
  for (const each of cases) {
    note(`${each.subscribers} subscribers at ${each.rate} messages a second`);
    outcomes.push(await withSystem(context, 1, (system) => measure(context, system, each)));
  }
  line(`stream:  ${JSON.stringify(declared)}`);
  line(`load:    ${textBytes} B in open loop; ${warmUpSeconds} s warm-up, ${seconds} s, then as long beside`);
  line("         a subscriber that does not read; subscribers in a process of their own");
  line("");
  table([
    [
      "subscribers",
      "msg/s",
      "p50 ms",
      "p99 ms",
      "max ms",
      "p99 beside a stalled one",
      "missed",
      "twice",
      "gaps",
    ],
    ...outcomes.map(({ subscribers, rate, alone, beside }) => [
      subscribers,
      rate,
      ...[alone.latencies.p50, alone.latencies.p99, alone.latencies.max].map((ms) => rounded(ms, 1)),
      `${rounded(beside.latencies.p99, 1)} (${percentMore(alone, beside)} %)`,
      beside.missed + beside.behind,
      beside.repeated,
      beside.gaps,
    ]),
  ]);
  line("");
  for (const { subscribers, beside, use } of outcomes) {
    const measured = 2 * seconds + stallSeconds;
    const gateway = rounded((use.get("gateway")?.cpuSeconds ?? 0) / measured, 2);
    const audience = rounded(beside.cpuSeconds / (warmUpSeconds + measured), 2);
    line(`${subscribers} subscribers: gateway ${gateway} cores, RssAnon ${rssOf(use)} MB`);
    line(`  the subscribers themselves: ${audience} cores`);
  }
  const result = Object.fromEntries(
    outcomes.flatMap(({ subscribers, alone, beside, use }) => [
      [`p99_ms_${subscribers}`, rounded(alone.latencies.p99, 1)],
      [`p99_ms_${subscribers}_beside_stalled`, rounded(beside.latencies.p99, 1)],
      [`gateway_rss_mb_${subscribers}`, rssOf(use)],
      [`missed_${subscribers}`, beside.missed + beside.behind],
    ]),
  );
  keepResult(
    context,
    { bench: "subscribers", ...result },
    { stream: declared, outcomes: outcomes.map(kept) },
  );
  if (
    outcomes.some(
      ({ beside, refused }) => beside.missed + beside.behind + beside.repeated + beside.gaps + refused > 0,
    )
  )
    process.exitCode = 1;
}

const percentMore = (alone: AudienceReport, beside: AudienceReport): number =>
  rounded((beside.latencies.p99 / alone.latencies.p99 - 1) * 100, 0);
const rssOf = (use: Outcome["use"]): number => rounded(use.get("gateway")?.rssAnonMb ?? 0, 0);
const kept = ({ subscribers, rate, alone, beside, refused }: Outcome): object => ({
  subscribers,
  rate,
  alone,
  beside,
  refused,
});

async function measure(context: BenchContext, system: BenchSystem, each: Case): Promise<Outcome> {
  const stream = "bench-subscribers";
  await using publishing = await createStreamProcessor(stream, system.client, declared);
  const audience = await openAudience({ address: system.client.address, stream }, each.subscribers);
  try {
    return await load(context, { publishing, audience, stateDir: system.stateDir, of: each });
  } finally {
    audience.close();
  }
}

interface Loaded {
  publishing: StreamProcessor;
  audience: Audience;
  stateDir: string;
  of: Case;
}

async function load(
  { options, signal }: BenchContext,
  { publishing, audience, stateDir, of }: Loaded,
): Promise<Outcome> {
  const { seconds } = options;
  const { rate } = of;
  const warm = warmUpSeconds * rate;
  const half = Math.round(seconds * rate);
  const stalling = warm + half + stallSeconds * rate;
  const count = stalling + half;
  const epochMs = performance.timeOrigin;
  const watch = watchUse(stateDir);
  let refused = 0;
  await runOpenLoop({
    ratePerSecond: rate,
    count,
    signal,
    send: (sequence, intendedMs) => {
      if (sequence === warm) watch.restart();
      if (sequence === warm + half) audience.stall();
      const text = `${sequence} ${epochMs + intendedMs} `.padEnd(textBytes, "and sent to the kitchen ");
      publishing.publish({ text, sourceId: `source-${sequence % 16}` }).catch((error: unknown) => {
        if (refused++ === 0) note(`the first refusal: ${String(error)}`);
      });
    },
  });
  const use = watch.stop();
  // What is on its way may still come.
  await sleep(graceMs, undefined, { signal });
  const alone = await audience.report(warm, warm + half);
  const beside = await audience.report(stalling, count);
  return { ...of, alone, beside, refused, use };
}
