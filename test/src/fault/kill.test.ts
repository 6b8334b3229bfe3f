import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceUser, serviceUsers } from "@millrace/messaging";
import { findRedelivered } from "@millrace/testkit";
import { below, seeded } from "../bench/seeded.js";
import { judge } from "./load/judge.js";
import { inputsSince, stageInputs } from "./load/stage-inputs.js";
import { endWorkload, startWorkload, toStoreAndResults, type Workload } from "./load/workload.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";
import { watchHeld } from "./system/held.js";

/** F1: until nothing is in flight again, after the last kill. */
const drainedWithinMs = 20_000;
/** In flight at a consumer, so handed out again after its reader was killed. */
const redeliveriesPerKillMax = 256;

const load = { stream: 1_000, unary: 120, keyed: 80, file: 1_500, spreadMs: 1_500 };
/** A model sees each of these. */
const modelLoad = { stream: 200, unary: 40, keyed: 20, file: 200, spreadMs: 1_500 };
/** 40 MB in batches whose bodies lie in segments: of ingestion, of buffer, of privacy. */
const bulkLoad = { stream: 8_000, unary: 20, keyed: 20, file: 32_000, contentBytes: 1_000, spreadMs: 2_000 };

const withModels: readonly ServiceUser[] = ["inference", "semantic-search"];
const withSegments: readonly ServiceUser[] = ["ingestion", "buffer", "privacy", "output"];

describe("F1: a kill loses nothing and doubles nothing", () => {
  let system: FaultSystem;
  before(async () => {
    system = await startFaultSystem();
  });
  after(() => system.stop());

  for (const seed of [1, 2, 3]) {
    it(`SIGKILL of each service in turn, seed ${seed}`, async (t) => {
      const random = seeded(seed);
      const victims = [...serviceUsers].sort(() => (random() % 2 === 0 ? 1 : -1));
      await killEach(t, { system, victims, seed, bulk: false });
    });
  }

  it("SIGKILL of each that writes or reads segments, with 40 MB under way", async (t) => {
    await killEach(t, { system, victims: withSegments, seed: 4, bulk: true });
  });
});

interface Kills {
  system: FaultSystem;
  victims: readonly ServiceUser[];
  seed: number;
  bulk: boolean;
}

/** A stream for each victim, killed among its messages; what it leaves drains while the next ones begin. */
async function killEach(t: TestContext, { system, victims, seed, bulk }: Kills): Promise<void> {
  const random = seeded(seed * 7919);
  const inputs = await stageInputs(system);
  const held = watchHeld(system.services());
  const workloads: Workload[] = [];
  for (const victim of victims) {
    const models = withModels.includes(victim);
    const workload = await startWorkload({
      system,
      stream: `kill-${victim}-${seed}`,
      seed,
      load: bulk ? bulkLoad : models ? modelLoad : load,
      models,
      outputs: models ? { ...toStoreAndResults, search: true } : toStoreAndResults,
      bulk,
    });
    workloads.push(workload);
    const atMs = 100 + below(random, load.spreadMs);
    await sleep(atMs);
    await system.program(victim).crash();
  }
  const since = performance.now();
  for (const workload of workloads) {
    const verdict = await judge({ system, workload, withinMs: drainedWithinMs, since, isBeside: true });
    t.diagnostic(`F1 ${JSON.stringify(verdict)}`);
    await endWorkload(system, workload);
  }
  const handed = inputsSince(await stageInputs(system), inputs);
  t.diagnostic(`F1 handed out: ${JSON.stringify(handed)}`);
  assert.deepEqual(findRedelivered(handed, victims.length * redeliveriesPerKillMax), []);
  await held.assertBounded();
  assert.deepEqual(system.unasked(), []);
}
