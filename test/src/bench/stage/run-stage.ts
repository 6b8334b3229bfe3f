import { adminUser, type Broker } from "@millrace/messaging";
import { type CreateOptions, createStreamProcessor } from "@millrace/sdk";
import { until } from "../../system/observe.js";
import type { BenchContext } from "../bench-context.js";
import { median } from "../percentiles.js";
import { declaredFor } from "../pipeline/cases.js";
import type { Input } from "../pipeline/make-input.js";
import { createInputs } from "../pipeline/run-case.js";
import { touch } from "../pipeline/run-pipeline.js";
import { line, note, rounded, table } from "../report.js";
import { type BenchResult, keepResult } from "../results.js";
import { type BenchSystem, withSystem } from "../system/bench-system.js";
import { watchUse } from "../system/process-use.js";

/** Less than a stream may have on its way, and than privacy may hold while output stands still. */
const defaultGb = 0.6;
/** Of each setting; they alternate, and the one in the middle counts. */
const rounds = 5;
const pollMs = 5;

type Setting = Pick<CreateOptions, "parallelism" | "workerThreads">;

/** What a stream asks for; the first is what the others are compared with. */
const settings: readonly Setting[] = [
  { parallelism: 1 },
  { parallelism: 8 },
  { parallelism: 8, workerThreads: 1 },
  { parallelism: 8, workerThreads: 2 },
];

interface Drained {
  mbPerSecond: number;
  cpuPerGb: number;
}

/**
 * What `parallelism` and `workerThreads` do to a stage that has the machine to itself: privacy stands still
 * until buffer has accepted everything, then works it off while output stands still.
 */
export async function runStage(context: BenchContext): Promise<void> {
  const { options } = context;
  const touched = await touch(context);
  const { personal, gb = defaultGb } = options;
  const lineBytes = options.sizes[0] ?? 1024;
  const input = await createInputs(context)({ lineBytes, personal, gb });
  const measured = await withSystem(context, 1, async (system) => {
    const broker = await system.broker(adminUser);
    const drain = (setting: Setting, name: string) =>
      drainOnce(context, { system, broker, input, setting, name });
    note("warming up");
    await drain({ parallelism: 8, workerThreads: 2 }, "bench-stage-warm-up");
    const drained = settings.map((): Drained[] => []);
    for (let round = 0; round < rounds; round++) {
      note(`round ${round + 1} of ${rounds}`);
      for (const [at, setting] of settings.entries()) {
        drained[at]?.push(await drain(setting, `bench-stage-${round}-${at}`));
      }
    }
    return drained;
  });
  const outcomes = settings.map((setting, at) => {
    const of = measured[at] ?? [];
    const mbPerSecond = median(of.map((one) => one.mbPerSecond));
    return { setting, mbPerSecond, cpuPerGb: median(of.map((one) => one.cpuPerGb)), of };
  });
  const first = outcomes[0]?.mbPerSecond ?? 0;
  line(
    `privacy alone, ${rounded(input.bytes / 1e9, 2)} GB, ${personal * 100} % of the lines with personal data`,
  );
  table([
    ["parallelism", "workerThreads", "MB/s, the median", "times the first", "CPU-s/GB", "MB/s of each round"],
    ...outcomes.map(({ setting, mbPerSecond, cpuPerGb, of }) => [
      setting.parallelism ?? 0,
      setting.workerThreads ?? 0,
      rounded(mbPerSecond),
      rounded(mbPerSecond / first, 2),
      rounded(cpuPerGb, 2),
      of.map((one) => rounded(one.mbPerSecond, 0)).join(" "),
    ]),
  ]);
  const result: BenchResult = { bench: "stage" };
  for (const { setting, mbPerSecond } of outcomes)
    result[`mb_per_s_parallelism_${setting.parallelism}_threads_${setting.workerThreads ?? 0}`] =
      rounded(mbPerSecond);
  keepResult(context, result, {
    memory_touched_gb: rounded(touched),
    stage: "privacy",
    message_bytes: lineBytes,
    personal,
    outcomes: outcomes.map(({ setting, mbPerSecond, cpuPerGb, of }) => ({
      ...setting,
      times_the_first: rounded(mbPerSecond / first, 2),
      privacy_cpu_s_per_gb: rounded(cpuPerGb, 3),
      rounds: of.map((one) => rounded(one.mbPerSecond)),
    })),
  });
}

interface Drain {
  system: BenchSystem;
  broker: Broker;
  input: Input;
  setting: Setting;
  name: string;
}

/** A stream of its own: accepted, then filtered, which is measured, then stored. */
async function drainOnce(
  { signal }: BenchContext,
  { system, broker, input, setting, name }: Drain,
): Promise<Drained> {
  const { streams } = system.client;
  const declared = { ...declaredFor("recycled"), ...setting };
  await using processor = await createStreamProcessor(name, system.client, declared);
  const counts = async () => (await streams.status(name)).conservation;
  const reached = (holds: () => Promise<boolean>, what: string): Promise<void> => {
    const check = (): Promise<boolean> => {
      signal.throwIfAborted();
      return holds();
    };
    return until(check, what, { pollMs });
  };
  const stopped = ["privacy", "output"] as const;
  for (const service of stopped) system.signal(service, "SIGSTOP");
  try {
    await processor.addFileSource({ path: input.dir, pattern: "*.jsonl", pollInterval: "1s" });
    await reached(async () => (await counts()).in === input.lines, "all is accepted");
    const use = watchUse(system.stateDir);
    const begun = performance.now();
    system.signal("privacy", "SIGCONT");
    await reached(() => isFiltered(broker), "all is filtered");
    const seconds = (performance.now() - begun) / 1e3;
    const cpuSeconds = use.stop().get("privacy")?.cpuSeconds ?? 0;
    system.signal("output", "SIGCONT");
    await reached(async () => (await counts()).out === input.lines, "all is stored");
    await streams.delete(name);
    return { mbPerSecond: input.bytes / 1e6 / seconds, cpuPerGb: cpuSeconds / (input.bytes / 1e9) };
  } finally {
    for (const service of stopped) system.signal(service, "SIGCONT");
  }
}

/** Whether privacy has answered for all that it was sent, and nothing waits for it. */
async function isFiltered({ manager }: Broker): Promise<boolean> {
  const { num_pending, num_ack_pending } = await manager.consumers.info("RAW", "privacy-batch");
  return num_pending === 0 && num_ack_pending === 0;
}
