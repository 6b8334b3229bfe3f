import assert from "node:assert/strict";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { countStored, subjects } from "@millrace/messaging";
import { createStreamProcessor } from "@millrace/sdk";
import { storedLines, until } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { openUnary } from "./load/unary.js";
import { startWorkload } from "./load/workload.js";
import { whenBusy } from "./system/bounds.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";
import { cannotMount, mountMemory, unmount } from "./system/volumes.js";

const load = { stream: 4_000, unary: 60, keyed: 30, file: 6_000, contentBytes: 1_000, spreadMs: 4_000 };
const segments = { segmentBytes: 8 * 1024 * 1024, liveBytesMax: 1024 * 1024 * 1024 };
const volumes = ["raw", "clean", "output"] as const;
/** Below the bound of live segments, so that the disk is full first; an output holds all that is stored. */
const megabytes = { raw: 64, clean: 64, output: 160 };
/** More than the segments that were made before the disk was full. */
const fillLoad = { ...load, stream: 12_000, file: 24_000, spreadMs: 3_000 };
/** Whoever frees the bodies of a volume stands still, or segments would be used again. */
const readers = { raw: "privacy", clean: "output", output: undefined } as const;
const fullForMs = 6_000;
const resumedWithinMs = 10_000;

describe("a disk that is full or fails loses nothing", () => {
  let system: FaultSystem;
  let unable: string | undefined;
  let faultDir = "";
  before(async () => {
    unable = await cannotMount();
    const script = new URL("./system/break-disk.js", import.meta.url).href;
    const env: NodeJS.ProcessEnv = { NODE_OPTIONS: `--import ${script}` };
    const configure = (config: Record<string, Record<string, unknown>>): void => {
      Object.assign(config["segments"] ?? {}, segments);
    };
    system = await startFaultSystem({
      env,
      configure: { buffer: configure, privacy: configure },
      prepare: async (stateDir) => {
        faultDir = join(stateDir, "faults");
        env["MILLRACE_FAULT_DIR"] = faultDir;
        await mkdir(faultDir);
        if (unable !== undefined) return;
        for (const name of volumes) await mountMemory(join(stateDir, "data", name), megabytes[name]);
      },
      cleanUp: async (stateDir) => {
        if (unable !== undefined) return;
        for (const name of volumes) await unmount(join(stateDir, "data", name));
      },
    });
  });
  after(() => system.stop());

  for (const name of volumes) {
    it(`F9: the volume of ${name} is full and is freed again`, async (t) => {
      if (unable !== undefined) return t.skip(unable);
      await fill(t, system, name);
    });
  }

  for (const service of ["buffer", "privacy", "output"] as const) {
    it(`F13: a sync of ${service} fails`, async (t) => {
      await failDisk(t, { system, service, fault: "sync", faultDir });
    });
  }
  it("F13: a write of privacy fails", async (t) => {
    await failDisk(t, { system, service: "privacy", fault: "write", faultDir });
  });
  it("F13: writes are short", async (t) => {
    for (const name of ["ingestion", "buffer", "privacy", "output"])
      await writeFile(join(faultDir, name), "short");
    const before = system.unasked().length;
    const workload = await startWorkload({ system, stream: "short-writes", seed: 13, load, bulk: true });
    t.diagnostic(`F13 short ${JSON.stringify(await judge({ system, workload, withinMs: 20_000 }))}`);
    assert.equal(system.unasked().length, before, "no process ends by a short write");
    await rm(faultDir, { recursive: true });
    await mkdir(faultDir);
  });
});

/** How it shows, for each volume, that its writer waits for room and that it goes on. */
interface Signs {
  waits(): Promise<unknown>;
  goesOn(): Promise<unknown>;
}

async function fill(t: TestContext, system: FaultSystem, name: (typeof volumes)[number]): Promise<void> {
  const before = system.unasked().length;
  const outputs = { search: false };
  const probed = await createStreamProcessor(`full-${name}-probes`, system.client, { outputs });
  const reader = readers[name];
  if (reader !== undefined) system.program(reader).signal("SIGSTOP");
  const filler = join(system.stateDir, "data", name, "filler");
  // Whatever is asserted in between, the next test finds room and everybody at work.
  const free = async (): Promise<void> => {
    await rm(filler, { force: true });
    if (reader !== undefined) system.program(reader).signal("SIGCONT");
  };
  t.after(free);
  await writeUntilFull(filler);
  const stream = `full-${name}`;
  const workload = await startWorkload({ system, stream, seed: 9, load: fillLoad, bulk: true });
  const codes: string[] = [];
  const signs: Record<typeof name, Signs> = {
    raw: {
      waits: async () => codes.push(...(await probe(system, probed.name, "RESOURCE_EXHAUSTED"))),
      goesOn: async () => codes.push(...(await probe(system, probed.name, "OK"))),
    },
    clean: {
      waits: () => until(async () => !(await system.program("privacy").isReady()), "privacy waits"),
      goesOn: () => until(() => system.program("privacy").isReady(), "privacy goes on"),
    },
    output: storageSigns(system, stream),
  };
  await signs[name].waits();
  await sleep(fullForMs);
  await rm(filler);
  const freed = performance.now();
  await signs[name].goesOn();
  const resumedMs = Math.round(performance.now() - freed);
  await free();
  const verdict = await judge({ system, workload, withinMs: 20_000 });
  t.diagnostic(`F9 ${name} ${JSON.stringify(verdict)}, resumed after ${resumedMs} ms`);
  t.diagnostic(`F9 ${name} calls of 120 kB: ${codes.join(" ")}`);
  assert.ok(resumedMs <= whenBusy(resumedWithinMs), `it went on after ${resumedMs} ms`);
  // Refused in so many words: no caller was left to guess.
  if (name === "raw") assert.deepEqual([...new Set(codes)].sort(), ["OK", "RESOURCE_EXHAUSTED"]);
  assert.deepEqual(system.unasked().slice(before), [], "no process ends, by signal or otherwise");
}

/** Output parks what it can't store and is ready for the rest; what was parked is stored then. */
function storageSigns(system: FaultSystem, stream: string): Signs {
  const isParked = async (): Promise<boolean> =>
    (await countStored(system.admin(), "PARKED", subjects.parked("store", "default", stream))) > 0;
  let visible = 0;
  return {
    waits: async () => {
      await until(isParked, "batches are parked");
      assert.ok(await system.program("output").isReady(), "the other sinks go on");
      visible = (await storedLines(system, stream)).length;
    },
    goesOn: () => until(async () => (await storedLines(system, stream)).length > visible, "it is stored"),
  };
}

/** Fills what is left, block by block down to single bytes. */
async function writeUntilFull(path: string): Promise<void> {
  const file = await open(path, "wx");
  try {
    for (let block = 1024 * 1024; block >= 1; ) {
      try {
        await file.write(new Uint8Array(block));
      } catch (caught) {
        if ((caught as NodeJS.ErrnoException).code !== "ENOSPC") throw caught;
        block = Math.floor(block / 16);
      }
    }
  } finally {
    await file.close();
  }
}

/** Publishes bodies that do not travel on the bus until one has the wanted outcome; the codes of all. */
async function probe(system: FaultSystem, stream: string, wanted: string): Promise<string[]> {
  const unary = openUnary(system.grpcAddress);
  const codes: string[] = [];
  try {
    const isSeen = async (): Promise<boolean> => {
      codes.push((await unary.publish({ stream, text: "probe ".repeat(20_000) })).code);
      return codes.at(-1) === wanted;
    };
    await until(isSeen, `a call that ends with ${wanted}`);
  } finally {
    unary.close();
  }
  return codes;
}

interface DiskFault {
  system: FaultSystem;
  service: "buffer" | "privacy" | "output";
  fault: "sync" | "write";
  faultDir: string;
}

async function failDisk(t: TestContext, { system, service, fault, faultDir }: DiskFault): Promise<void> {
  const program = system.program(service);
  const before = program.unasked().length;
  const stream = `fails-${fault}-${service}`;
  const workload = await startWorkload({ system, stream, seed: 13, load, bulk: true });
  await sleep(500);
  await writeFile(join(faultDir, service), fault);
  await until(() => program.unasked().length > before, `${service} ends by itself`, { timeoutMs: 10_000 });
  await rm(join(faultDir, service));
  const [exit] = program.unasked().slice(before);
  assert.deepEqual([exit?.code, exit?.signal], [1, null], "it says that it failed");
  await until(() => program.isReady(), `${service} is ready again`);
  const verdict = await judge({ system, workload, withinMs: 20_000 });
  t.diagnostic(`F13 ${service} ${fault} ${JSON.stringify(verdict)}`);
}
