import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { startWorkload } from "./load/workload.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";

const load = { stream: 1_500, unary: 150, keyed: 100, file: 1_500, spreadMs: 3_000 };
/** The broker waits half as long for an ack. */
const stoppedMs = 20_000;

// Several of the other services: test/src/integration/pods.test.ts.
const replicated = ["privacy"] as const;

describe("one of two replicas stands still and the other takes its work", () => {
  let system: FaultSystem;
  before(async () => {
    system = await startFaultSystem({ twice: replicated });
  });
  after(() => system.stop());

  for (const service of replicated) {
    it(`F7: one ${service} of two is stopped for 20 s`, async (t) => {
      const workload = await startWorkload({ system, stream: `f7-two-${service}`, seed: 7, load });
      await sleep(1_000);
      const stopped = system.program(service);
      stopped.signal("SIGSTOP");
      const began = performance.now();
      await workload.done;
      const { processor } = workload;
      const isThrough = async (): Promise<boolean> => (await processor.status()).conservation.inFlight === 0;
      await until(isThrough, "the other one has done all of it");
      const tookMs = Math.round(performance.now() - began);
      await sleep(stoppedMs - tookMs);
      // What it held in its hands it may only now settle, and that counts for nothing.
      stopped.signal("SIGCONT");
      const verdict = await judge({ system, workload, withinMs: 20_000 });
      t.diagnostic(`F7 ${JSON.stringify(verdict)}, all through ${tookMs} ms after the stop`);
      await until(() => stopped.isReady(), `${service} is ready again`);
      assert.deepEqual(system.unasked(), []);
    });
  }
});
