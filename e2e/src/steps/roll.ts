import { setTimeout as sleep } from "node:timers/promises";
import { createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { expectNone } from "../checks.js";
import { openGateway } from "../cluster/gateway.js";
import type { Kubectl } from "../cluster/kubectl.js";
import { fullName, selector } from "../cluster/release.js";
import { judgeRun, percentile } from "../judge/delivery.js";
import { followArrivals } from "../load/arrivals.js";
import { startLoad } from "../load/open-load.js";
import { until } from "../load/until.js";
import type { Context, Step } from "./step.js";

/** Sections of the values: all services. The broker is not one of them. */
const sections = [
  "gateway",
  "ingestion",
  "buffer",
  "privacy",
  "inference",
  "semanticSearch",
  "output",
  "metricsAdapter",
];
/** One of each of these is killed: what moves messages. */
const killed = ["privacy", "buffer", "output", "gateway", "inference"];

const warmUpMs = 10_000;
const betweenKillsMs = 15_000;

/** Nothing that was acknowledged is lost or stands twice in the store, while pods are replaced and killed. */
export const rollStep: Step = {
  name: "roll",
  profile: "production",
  async run(context) {
    const { checks, kubectl, release, settings } = context;
    const rate = settings.rollRate;
    await checks.check(`rolling upgrade of all services under ${rate} msg/s`, () =>
      underLoad(context, { stream: "e2e-roll", p99Ms: 2_000 }, async () => {
        const before = new Set((await kubectl.list("pods", selector)).map(({ metadata }) => metadata.uid));
        await release.upgrade(
          Object.fromEntries(sections.map((section) => [`${section}.podAnnotations.e2e`, "rolled"])),
        );
        const after = await kubectl.list("pods", selector);
        const stayed = after.filter(({ metadata }) => {
          const service = metadata.labels?.["app.kubernetes.io/component"];
          const isService = service !== "nats" && service !== "provisioner";
          return isService && before.has(metadata.uid) && metadata.deletionTimestamp === undefined;
        });
        expectNone(
          "pods were not replaced",
          stayed.map(({ metadata }) => metadata.name),
        );
      }),
    );
    await checks.check(`a pod of ${killed.join(", ")} is killed under ${rate} msg/s`, () =>
      underLoad(context, { stream: "e2e-kill", p99Ms: Number.POSITIVE_INFINITY }, async () => {
        for (const service of killed) {
          const [pod] = await podsOf(kubectl, service);
          if (pod === undefined) throw new Error(`there is no pod of ${service}`);
          await kubectl(["delete", "pod", pod, "--grace-period=0", "--force", "--wait=false"]);
          await sleep(betweenKillsMs);
        }
      }),
    );
  },
};

async function underLoad(
  { settings, kubectl, checks }: Context,
  { stream, p99Ms }: { stream: string; p99Ms: number },
  disturb: () => Promise<void>,
): Promise<string> {
  await using gateway = await openGateway(settings, kubectl);
  await using processor = await createStreamProcessor(stream, gateway.client, {
    enrichments: { embeddings: false, sentiment: false },
    outputs: {
      results: { bytes: "512MB" },
      artifacts: false,
      search: false,
      events: false,
      storage: { format: "lines", rollAge: "10s" },
    },
  });
  const arrivals = followArrivals(processor);
  const load = startLoad(processor, { ratePerSecond: settings.rollRate });
  const began = performance.now();
  try {
    await sleep(warmUpMs);
    await disturb();
    await sleep(warmUpMs);
  } finally {
    await load.stop();
  }
  const loadSeconds = (performance.now() - began) / 1000;
  const accepted = await drained(processor);
  const stored = await storedIds(kubectl, stream, accepted);
  await arrivals.stop();
  const missed = load.sent.filter((one) => one.acknowledged && !arrivals.firstMs.has(one.id));
  const latencies = [...load.intendedMs].flatMap(([id, atMs]) => {
    const arrived = arrivals.firstMs.get(id);
    return arrived === undefined ? [] : [arrived - atMs];
  });
  tellSlowest(
    checks,
    [...load.intendedMs].map(([id, atMs]) => ({
      second: Math.floor((atMs - began) / 1000),
      acknowledged: (load.acknowledgedMs.get(id) ?? Number.NaN) - atMs,
      arrived: (arrivals.firstMs.get(id) ?? Number.NaN) - atMs,
    })),
  );
  const acknowledged = load.sent.filter((one) => one.acknowledged).length;
  const acknowledgedMin = settings.rollRate * loadSeconds * 0.9;
  const unseen = missed.map(({ id }) => `${id} was acknowledged and never came to the subscriber`);
  const wrong = judgeRun({ sent: load.sent, stored, latencies }, { p99Ms, acknowledgedMin });
  expectNone("faults", [
    ...wrong,
    ...unseen,
    ...(arrivals.gaps > 0 ? [`${arrivals.gaps} gaps in results`] : []),
  ]);
  const refused = [...load.refusals.values()].reduce((sum, count) => sum + count, 0);
  return (
    `${load.sent.length} sent, ${acknowledged} acknowledged, ${refused} not, 0 lost, 0 twice; ` +
    `p50 ${Math.round(percentile(latencies, 0.5))} ms, p99 ${Math.round(percentile(latencies, 0.99))} ms`
  );
}

interface Timed {
  /** Of the load, in which it was due. */
  second: number;
  acknowledged: number;
  arrived: number;
}

const slowMs = 1_000;

/** In which seconds messages took long, and whether to be taken or to be delivered. */
function tellSlowest({ say }: Context["checks"], all: readonly Timed[]): void {
  const seconds = new Map<number, Timed[]>();
  // One that never came is slow too.
  for (const one of all.filter(({ arrived }) => !(arrived < slowMs))) {
    seconds.set(one.second, [...(seconds.get(one.second) ?? []), one]);
  }
  for (const [second, slow] of seconds) {
    const longest = (of: "acknowledged" | "arrived") => Math.round(Math.max(...slow.map((one) => one[of])));
    say(
      `second ${second}: ${slow.length} took up to ${longest("arrived")} ms, ` +
        `until acknowledged ${longest("acknowledged")} ms`,
    );
  }
}

/** Messages that were accepted, once none of them is under way. */
async function drained(processor: StreamProcessor): Promise<number> {
  return until(
    "nothing to be in flight",
    async () => {
      const { conservation } = await processor.status();
      const { in: accepted, inFlight, balanced, dead, dropped } = conservation;
      if (inFlight > 0) return undefined;
      if (!balanced || dead > 0 || dropped > 0) throw new Error(JSON.stringify(conservation));
      return accepted;
    },
    { timeoutMs: 180_000 },
  );
}

/** From the files of every replica of output, each id as often as it stands there. */
async function storedIds(kubectl: Kubectl, stream: string, accepted: number): Promise<string[]> {
  let found: string[] = [];
  const read = async (): Promise<true | undefined> => {
    const lists = await Promise.all(
      (await podsOf(kubectl, "output")).map((pod) => kubectl.node(pod, readStored(stream))),
    );
    found = lists.flatMap((list) => list.split("\n").filter((id) => id !== ""));
    return new Set(found).size >= accepted ? true : undefined;
  };
  // The last part gets its name when it is ten seconds old.
  await until(`${accepted} lines in the store`, read, { timeoutMs: 60_000, pollMs: 3_000 }).catch(
    () => undefined,
  );
  // What stands twice may do so in a part that is not named yet.
  await sleep(15_000);
  await read();
  return found;
}

/** Runs in a pod of output. */
const readStored = (stream: string): string => `
  import { existsSync, readdirSync, readFileSync } from "node:fs";
  const folder = "/data/output/default/${stream}";
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".jsonl")) : [];
  for (const name of names) process.stdout.write(readFileSync(folder + "/" + name));
`;

async function podsOf(kubectl: Kubectl, service: string): Promise<string[]> {
  const pods = await kubectl.list("pods", `${selector},app.kubernetes.io/component=${service}`);
  return pods
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map(({ metadata }) => metadata.name)
    .filter((name) => name.startsWith(`${fullName}-${service}`));
}
