import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { createStreamProcessor } from "@millrace/sdk";
import { below, seeded } from "../bench/seeded.js";
import { until } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { deadlineMs, openUnary, type UnaryOutcome } from "./load/unary.js";
import { endWorkload, startWorkload, type Workload } from "./load/workload.js";
import { whenBusy } from "./system/bounds.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";
import { watchHeld } from "./system/held.js";
import { isFullLane, tellFull } from "./system/lane.js";
import { statusOf } from "./system/program.js";

const load = { stream: 1_500, unary: 150, keyed: 100, file: 1_500, spreadMs: 3_000 };

describe("the broker fails and nothing is lost", () => {
  let system: FaultSystem;
  before(async () => {
    system = await startFaultSystem();
  });
  after(() => system.stop());

  it("F2: SIGTERM of nats-server, which comes back", async (t) => {
    const workload = await startWorkload({ system, stream: "f2", seed: 2, load });
    await sleep(1_200);
    const { code } = await system.program("nats-server").end("SIGTERM");
    t.diagnostic(`F2 nats-server ended with code ${code}`);
    await system.program("nats-server").start();
    await tell(t, "F2", { system, workload, withinMs: 10_000 });
  });

  it("F3: SIGKILL of nats-server within 50 ms of acknowledgements, 20 times", async (t) => {
    const random = seeded(3);
    const spreadMs = 20_000;
    const workload = await startWorkload({
      system,
      stream: "f3",
      seed: 3,
      load: { ...load, stream: 3_000, file: 3_000, unary: 400, keyed: 200, spreadMs },
    });
    for (let kill = 0; kill < 20; kill++) {
      const before = workload.history.count("ok");
      // At the first acknowledgement that is seen, and a random part of 50 ms later.
      await until(() => workload.history.count("ok") > before, `an acknowledgement before kill ${kill}`);
      await sleep(below(random, 50));
      await system.program("nats-server").crash();
    }
    await tell(t, "F3", { system, workload, withinMs: 20_000 });
  });

  for (const awaySeconds of isFullLane ? [30, 300] : [30]) {
    it(`F4: nats-server is away for ${awaySeconds} s, and callers are told so in time`, async (t) => {
      tellFull(t, "F4 with an outage of 5 minutes");
      await awayFor(t, system, awaySeconds * 1_000);
    });
  }

  it("F7: nats-server is stopped for 20 s", async (t) => {
    const workload = await startWorkload({ system, stream: "f7-nats", seed: 7, load });
    await sleep(1_000);
    system.program("nats-server").signal("SIGSTOP");
    await sleep(20_000);
    system.program("nats-server").signal("SIGCONT");
    await tell(t, "F7 nats-server", { system, workload, withinMs: 25_000 });
  });
});

const backWithinMs = 15_000;

interface Run {
  system: FaultSystem;
  workload: Workload;
  withinMs: number;
}

async function tell(t: TestContext, name: string, run: Run): Promise<void> {
  t.diagnostic(`${name} ${JSON.stringify(await judge(run))}`);
  assert.deepEqual(run.system.unasked(), [], "no process of ours ends");
}

/** Of a call's outcome while the broker is away, and of probes. */
interface Seen {
  outcomes: UnaryOutcome[];
  live: Set<number>;
  ready: Set<number>;
}

async function awayFor(t: TestContext, system: FaultSystem, awayMs: number): Promise<void> {
  const name = `f4-${awayMs / 1_000}`;
  const spreadMs = Math.min(awayMs, 30_000);
  const strays = await createStreamProcessor(`${name}-strays`, system.client, { outputs: { search: false } });
  // Lines of a file count as sent when they are written, so they have a history of their own.
  const pushed = { ...load, stream: 2_000, file: 0, spreadMs };
  const workload = await startWorkload({ system, stream: `${name}-pushed`, seed: 4, load: pushed });
  const read = { stream: 0, unary: 0, keyed: 0, file: 3_000, spreadMs };
  const files = await startWorkload({ system, stream: `${name}-files`, seed: 5, load: read });
  await sleep(1_000);
  const held = watchHeld(system.services());
  await system.program("nats-server").end("SIGKILL");
  // What was answered already may be on its way to the client.
  await sleep(500);
  const acknowledged = workload.history.count("ok");
  const seen = await watchOutage(system, strays.name, awayMs);
  assert.equal(workload.history.count("ok"), acknowledged, "no OK while the broker is away");
  await system.program("nats-server").start();
  const back = performance.now();
  await until(async () => (await statusOf(system.url("gateway", "readyz"))) === 200, "gateway is ready");
  await until(() => workload.history.count("ok") > acknowledged, "the first OK");
  const backMs = Math.round(performance.now() - back);
  t.diagnostic(`F4 gateway is ready and acknowledges ${backMs} ms after the broker`);
  assert.ok(backMs <= whenBusy(backWithinMs), `the first OK came after ${backMs} ms`);
  const slowest = Math.max(...seen.outcomes.map(({ tookMs }) => tookMs));
  t.diagnostic(`F4 ${seen.outcomes.length} calls meanwhile, the slowest took ${Math.round(slowest)} ms`);
  assert.deepEqual([...new Set(seen.outcomes.map(({ code }) => code))], ["UNAVAILABLE"]);
  assert.ok(slowest <= deadlineMs, `a caller waited ${slowest} ms`);
  assert.deepEqual([...seen.live], [200]);
  assert.deepEqual([...seen.ready], [503]);
  for (const each of [workload, files]) {
    const verdict = await judge({ system, workload: each, withinMs: backWithinMs, isBeside: true });
    t.diagnostic(`F4 ${JSON.stringify(verdict)}`);
    await endWorkload(system, each);
  }
  await held.assertBounded();
  assert.deepEqual(system.unasked(), []);
}

/** Calls and probes once a second until the time is over. */
async function watchOutage(system: FaultSystem, stream: string, forMs: number): Promise<Seen> {
  const seen: Seen = { outcomes: [], live: new Set(), ready: new Set() };
  const unary = openUnary(system.grpcAddress);
  const until = performance.now() + forMs;
  try {
    while (performance.now() < until) {
      // To a stream of their own, since their outcome is unknown and in nobody's history.
      seen.outcomes.push(await unary.publish({ stream, text: "stray 0" }));
      seen.live.add(await statusOf(system.url("gateway", "livez")));
      for (const service of ["gateway", "ingestion", "buffer", "privacy", "output"] as const) {
        seen.ready.add(await statusOf(system.url(service, "readyz")));
      }
      await sleep(500);
    }
  } finally {
    unary.close();
  }
  return seen;
}
