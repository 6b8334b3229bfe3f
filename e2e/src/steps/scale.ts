import { setTimeout as sleep } from "node:timers/promises";
import { createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { expectNone } from "../checks.js";
import { openGateway } from "../cluster/gateway.js";
import { fullName } from "../cluster/release.js";
import { findFlapping, scaleEvents } from "../judge/scaling.js";
import { startLoad } from "../load/open-load.js";
import { until } from "../load/until.js";
import { watchScale, type ScaleWatch } from "./scale-watch.js";
import type { Context, Step } from "./step.js";

/** The stage whose work is dear, so that a test can outpace it. */
export const scaledService = "inference";

const sentence =
  "the guests waited for two hours, and then the pizza that came was cold and the soup too sweet";
/** Ids of one half wave; more than a half wave can send. */
const idsPerWave = 1_000_000;

/** Lag makes replicas, they get work at once, and they go when it has gone; nothing flaps or is lost. */
export const scaleStep: Step = {
  name: "scale",
  profile: "small",
  async run(context) {
    const { checks, kubectl, settings } = context;
    await using gateway = await openGateway(settings, kubectl);
    await using processor = await createStreamProcessor("e2e-scale", gateway.client, {
      outputs: {
        results: { bytes: "64MB" },
        storage: false,
        artifacts: false,
        search: false,
        events: false,
      },
    });
    const watch = watchScale(context, scaledService);
    const unbalanced: string[] = [];
    const looks = watchBalance(processor, unbalanced);
    try {
      const wave = runWave(context, processor, watch);
      await checks.check("a new replica gets work soon after lag rises", () => firstWork(context, watch));
      const edgesMs = await wave;
      await checks.check("nothing is left in flight after the load", () => drains(processor));
      await checks.check("replicas go back to their minimum", () => scalesBack(watch));
      await checks.check(`no flapping over ${settings.minutes} minutes of square wave`, async () => {
        expectNone("half waves flap", findFlapping(watch.samples, edgesMs));
        return `${edgesMs.length} edges, ${scaleEvents(watch.samples).length} scale events`;
      });
      await checks.check("every message was accounted for throughout", async () => {
        expectNone("looks found the account unbalanced", unbalanced);
        // Most looks have an answer, or nothing was watched.
        const least = (settings.minutes * 60_000 * 0.8) / balanceLookMs;
        if (looks.answered() < least) throw new Error(`${looks.answered()} looks of ${least} had an answer`);
        return `${looks.answered()} looks`;
      });
    } finally {
      looks.abort();
      await watch.stop();
    }
  },
};

/** Load and none by turns, each for a quarter of the time; the moments at which it changed. */
async function runWave(
  { settings, checks }: Context,
  processor: StreamProcessor,
  watch: ScaleWatch,
): Promise<number[]> {
  const halfMs = (settings.minutes * 60_000) / 4;
  const edges: number[] = [];
  for (const turn of [0, 1]) {
    edges.push(performance.now());
    const load = startLoad(processor, {
      ratePerSecond: settings.waveRate,
      first: turn * idsPerWave,
      textOf: (id) => `${id} ${sentence}`,
    });
    await sleep(halfMs);
    edges.push(performance.now());
    await load.stop();
    checks.say(`     wave ${turn + 1}: ${load.sent.length} sent, ${watch.replicas()} replicas at its end`);
    await sleep(halfMs);
  }
  return edges;
}

async function firstWork({ settings }: Context, watch: ScaleWatch): Promise<string> {
  const boundSeconds = settings.hpaSyncSeconds <= 2 ? 20 : 45;
  const { lagMs, decidedMs, workedMs } = await until(
    "the first batch of a new replica",
    async () => watch.first(),
    {
      timeoutMs: 300_000,
      pollMs: 200,
    },
  );
  const seconds = (workedMs - lagMs) / 1000;
  const wanted = (decidedMs - lagMs) / 1000;
  const told = `${seconds.toFixed(1)} s, of them ${wanted.toFixed(1)} s until it was wanted`;
  if (seconds > boundSeconds) throw new Error(`${told}; the bound is ${boundSeconds} s`);
  return told;
}

async function drains(processor: StreamProcessor): Promise<string> {
  const began = performance.now();
  const accepted = await until(
    "nothing to be in flight",
    async () => {
      const { conservation } = await processor.status();
      const { in: all, out, dead, dropped, inFlight } = conservation;
      if (inFlight > 0) return undefined;
      if (out !== all || dead > 0 || dropped > 0) throw new Error(JSON.stringify(conservation));
      return all;
    },
    { timeoutMs: 1_200_000, pollMs: 2_000 },
  );
  const seconds = (performance.now() - began) / 1000;
  return `${accepted} messages, ${seconds.toFixed(0)} s after the last half wave`;
}

async function scalesBack(watch: ScaleWatch): Promise<string> {
  const replicas = await until(
    "the minimum",
    async () => (watch.replicas() <= 1 ? watch.replicas() : undefined),
    {
      timeoutMs: 900_000,
      pollMs: 2_000,
    },
  );
  return `${fullName}-${scaledService} has ${replicas}`;
}

const balanceLookMs = 2_000;

function watchBalance(
  processor: StreamProcessor,
  unbalanced: string[],
): { abort(): void; answered(): number } {
  const abort = new AbortController();
  let answered = 0;
  void (async () => {
    while (!abort.signal.aborted) {
      const status = await processor.status().catch(() => undefined);
      if (status !== undefined) answered += 1;
      if (status !== undefined && !status.conservation.balanced) {
        unbalanced.push(JSON.stringify(status.conservation));
      }
      await sleep(balanceLookMs);
    }
  })();
  return { abort: () => abort.abort(), answered: () => answered };
}
