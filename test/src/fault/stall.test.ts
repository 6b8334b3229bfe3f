import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type ServiceUser, serviceUsers } from "@millrace/messaging";
import { findRedelivered } from "@millrace/testkit";
import { storedLines } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { inputsSince, stageInputs } from "./load/stage-inputs.js";
import { idOf, startWorkload } from "./load/workload.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";
import { isFullLane, perLane, tellFull } from "./system/lane.js";
import type { ProgramExit } from "./system/program.js";

const load = { stream: 1_500, unary: 150, keyed: 100, file: 1_500, spreadMs: 3_000 };
const stoppedMs = 20_000;
/** Longer than a service's end and start: whose deadline runs out knows nothing of its message. */
const rollMsMax = 30_000;
/** A consumer of each lane, and a batch of each of its last requests. */
const lastMoment = 2;

describe("a service stands still or is rolled and nothing is lost", () => {
  let system: FaultSystem;
  before(async () => {
    system = await startFaultSystem();
  });
  after(() => system.stop());

  for (const service of ["privacy", "output"] as const) {
    it(`F7: ${service} is stopped for 20 s, twice as long as the broker waits for an ack`, async (t) => {
      const workload = await startWorkload({ system, stream: `f7-${service}`, seed: 7, load });
      await sleep(1_000);
      system.program(service).signal("SIGSTOP");
      await sleep(stoppedMs);
      const held = (await storedLines(system, workload.stream)).length;
      system.program(service).signal("SIGCONT");
      const verdict = await judge({ system, workload, withinMs: 20_000 });
      t.diagnostic(`F7 ${JSON.stringify(verdict)}, ${verdict.stored - held} of them after it went on`);
      assert.ok(held < verdict.stored, "some were in its hands");
      assert.deepEqual(system.unasked(), []);
    });
  }

  for (const signal of isFullLane ? (["SIGTERM", "SIGSTOP"] as const) : (["SIGTERM"] as const)) {
    const seconds = perLane(10, 300);
    it(`buffer is away by ${signal} for ${seconds} s, and nothing is dead-lettered`, async (t) => {
      tellFull(t, "buffer away for 5 minutes, ended and stopped");
      const workload = await startWorkload({ system, stream: `away-${signal.toLowerCase()}`, seed: 8, load });
      await sleep(1_000);
      const buffer = system.program("buffer");
      if (signal === "SIGTERM") await buffer.end(signal);
      else buffer.signal(signal);
      await sleep(seconds * 1_000);
      if (signal === "SIGTERM") await buffer.start();
      else buffer.signal("SIGCONT");
      const verdict = await judge({ system, workload, withinMs: 20_000 });
      t.diagnostic(`buffer away ${seconds} s by ${signal} ${JSON.stringify(verdict)}`);
      assert.deepEqual(system.unasked(), []);
    });
  }

  it("F22: SIGTERM of each service in turn fails no call that was accepted", async (t) => {
    const rolled = { ...load, stream: 3_000, unary: 600, file: 3_000, spreadMs: 12_000 };
    const options = { system, stream: "f22", seed: 22, load: rolled, patienceMs: rollMsMax };
    const workload = await startWorkload(options);
    const inputs = await stageInputs(system);
    const exits: ProgramExit[] = [];
    for (const name of rollOrder) {
      const program = system.program(name);
      exits.push(await program.end("SIGTERM"));
      await program.start();
    }
    const verdict = await judge({ system, workload, withinMs: 20_000 });
    const slowest = Math.round(Math.max(...exits.map(({ tookMs }) => tookMs)));
    t.diagnostic(`F22 ${JSON.stringify(verdict)}, the slowest end took ${slowest} ms`);
    assert.deepEqual(
      exits.map(({ name, code, signal }) => [name, code, signal]),
      rollOrder.map((name) => [name, 0, null]),
    );
    assert.ok(slowest <= 25_000, `an end took ${slowest} ms`);
    const handed = inputsSince(await stageInputs(system), inputs);
    t.diagnostic(`F22 handed out: ${JSON.stringify(handed)}`);
    // One that the broker sent to a subscription that had just ended reached nobody; its stage is ended once.
    assert.deepEqual(findRedelivered(handed, lastMoment), [], "no stage is handed a batch twice");
    const stored = new Map(handed.map((input) => [input.stage, input.stored]));
    assert.equal(stored.get("store"), stored.get("privacy"), "a batch comes out of privacy once");
    // Whoever was told of a failure was not accepted: its message is nowhere.
    const sent = await workload.history.read();
    const failed = new Set(sent.filter(({ acknowledged }) => !acknowledged).map(({ id }) => id));
    const arrived = (await storedLines(system, workload.stream)).map(idOf);
    assert.deepEqual(
      arrived.filter((id) => failed.has(id)),
      [],
    );
    assert.deepEqual(system.unasked(), []);
  });
});

/** From the end of a message's way to its beginning. */
const rollOrder: readonly ServiceUser[] = [...serviceUsers].reverse();
