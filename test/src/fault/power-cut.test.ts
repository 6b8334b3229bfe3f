import assert from "node:assert/strict";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { findLost } from "@millrace/testkit";
import { below, seeded } from "../bench/seeded.js";
import { storedLines } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { idOf, startWorkload, type Workload, type WorkloadOptions } from "./load/workload.js";
import { type FaultSystem, type FaultSystemOptions, startFaultSystem } from "./system/fault-system.js";
import { perLane, tellFull } from "./system/lane.js";
import { cannotMount, copyImage, makeImage, mountImage, unmount } from "./system/volumes.js";

const megabytes = 1_024;
const drainedWithinMs = 30_000;
/** Batches pile up before the stage that stands still, so that some exist nowhere but on the cut disk. */
const stoppedBefore = 700;

const small = { stream: 1_500, unary: 150, keyed: 100, file: 1_000, spreadMs: 2_500 };
const bulk = { stream: 6_000, unary: 20, keyed: 20, file: 8_000, contentBytes: 1_000, spreadMs: 2_500 };
const segments = { segmentBytes: 8 * 1024 * 1024, liveBytesMax: 96 * 1024 * 1024 };

/** Of a system whose directory, `nats` or `data`, lies on a disk of its own. */
interface CutSystem {
  system: FaultSystem;
  /** SIGSTOP to all, a copy of the disk as it is, and everything anew on the copy. */
  cut(): Promise<void>;
}

async function startOnDisk(folder: "nats" | "data", options: FaultSystemOptions = {}): Promise<CutSystem> {
  let generation = 0;
  const imageOf = (stateDir: string): string => join(stateDir, `disk-${generation}.img`);
  const system = await startFaultSystem({
    ...options,
    configure: {
      buffer: (config) => Object.assign(config["segments"] ?? {}, segments),
      privacy: (config) => Object.assign(config["segments"] ?? {}, segments),
    },
    prepare: async (stateDir) => {
      await makeImage(imageOf(stateDir), megabytes);
      await mountImage(imageOf(stateDir), join(stateDir, folder));
    },
    cleanUp: (stateDir) => unmount(join(stateDir, folder)),
  });
  const cut = async (): Promise<void> => {
    const { stateDir } = system;
    const all = [system.program("nats-server"), ...system.services()];
    for (const program of all) program.signal("SIGSTOP");
    const old = imageOf(stateDir);
    generation++;
    await copyImage(old, imageOf(stateDir));
    await system.killAll();
    await unmount(join(stateDir, folder));
    await rm(old);
    await mountImage(imageOf(stateDir), join(stateDir, folder));
    await system.start();
  };
  return { system, cut };
}

const disks = [
  { folder: "nats", what: "the broker's disk", load: small, isBulk: false },
  { folder: "data", what: "the disk of buffer, privacy and output", load: bulk, isBulk: true },
] as const;

describe("F5: a power cut loses nothing that had its OK", () => {
  for (const { folder, what, load, isBulk } of disks) {
    it(`${what} loses what was not synced`, async (t) => {
      const unable = await cannotMount();
      if (unable !== undefined) return t.skip(unable);
      const runs = perLane(1, 20);
      tellFull(t, `F5 20 cuts of ${what}`);
      const { system, cut } = await startOnDisk(folder);
      try {
        for (let seed = 1; seed <= runs; seed++) {
          const options = { system, stream: `cut-${folder}-${seed}`, seed, load, bulk: isBulk };
          await cutAmong(t, cut, options);
        }
        assert.deepEqual(system.unasked(), []);
      } finally {
        await system.stop();
      }
    });
  }

  it("a broker that does not sync loses what was acknowledged: the test can see it", async (t) => {
    const unable = await cannotMount();
    if (unable !== undefined) return t.skip(unable);
    const configureBroker: FaultSystemOptions["configureBroker"] = (config) => {
      delete config["jetstream"]?.["sync_interval"];
    };
    // What is left of its streams may not be well, and it says so for ever.
    await assertLoses(t, "nats", { configureBroker, brokerProbe: "healthz?js-server-only=true" });
  });

  it("services that do not sync lose what was acknowledged: the test can see it", async (t) => {
    const unable = await cannotMount();
    if (unable !== undefined) return t.skip(unable);
    const script = new URL("./system/forget-syncs.js", import.meta.url).href;
    await assertLoses(t, "data", { env: { NODE_OPTIONS: `--import ${script}` } });
  });
});

async function cutAmong(t: TestContext, cut: () => Promise<void>, options: WorkloadOptions): Promise<void> {
  const { system, seed } = options;
  const workload = await startWorkload(options);
  await cutAt(system, seed, cut);
  // What buffer counted in the last 100 ms is not synced: counts may be lost, messages not.
  const verdict = await judge({ system, workload, withinMs: drainedWithinMs, countsLost: true });
  t.diagnostic(`F5 ${JSON.stringify(verdict)}`);
}

/** At a seeded moment, after one of the stages stood still for a while. */
async function cutAt(system: FaultSystem, seed: number, cut: () => Promise<void>): Promise<void> {
  const random = seeded(seed * 65_537);
  await sleep(500 + below(random, 800));
  const still = (["privacy", "output", "privacy"] as const)[below(random, 3)] ?? "privacy";
  system.program(still).signal("SIGSTOP");
  await sleep(stoppedBefore);
  await cut();
}

async function assertLoses(t: TestContext, folder: "nats" | "data", options: FaultSystemOptions) {
  const { system, cut } = await startOnDisk(folder, options);
  try {
    const isBulk = folder === "data";
    const load = { ...(isBulk ? bulk : small), keyed: 0, file: 0 };
    const workload = await startWorkload({ system, stream: "control", seed: 5, load, bulk: isBulk });
    await sleep(1_000);
    system.program("privacy").signal("SIGSTOP");
    await sleep(stoppedBefore);
    const acknowledged = workload.history.count("ok");
    await cut();
    const lost = await lostAtRest(system, workload);
    t.diagnostic(`F5 control, ${folder}: ${lost} lost of ${acknowledged} acknowledged before the cut`);
    assert.ok(lost > 0, "without syncs something is lost");
  } finally {
    await system.stop();
  }
}

/** Lost once nothing has arrived for a while. */
async function lostAtRest(system: FaultSystem, { stream, history, done }: Workload): Promise<number> {
  await Promise.race([done, sleep(10_000)]);
  const sent = await history.read();
  for (let before = -1; ; ) {
    const stored = await storedLines(system, stream);
    if (stored.length === before) {
      return findLost({ sent, arrived: stored.map((text) => ({ id: idOf(text), content: text })) }).length;
    }
    before = stored.length;
    await sleep(3_000);
  }
}
