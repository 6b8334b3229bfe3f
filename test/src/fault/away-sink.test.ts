import assert from "node:assert/strict";
import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { storedLines, until } from "../system/observe.js";
import { judge } from "./load/judge.js";
import { startWorkload, type Workload } from "./load/workload.js";
import { type FaultSystem, startFaultSystem } from "./system/fault-system.js";

const load = { stream: 4_000, unary: 200, keyed: 100, file: 4_000, spreadMs: 20_000 };
const windowMs = 6_000;

describe("a stream whose sink is away slows no other stream", () => {
  let system: FaultSystem;
  before(async () => {
    system = await startFaultSystem();
  });
  after(() => system.stop());

  it("its storage can't be written to, the other flows, and after the repair it drains", async (t) => {
    const away = await startWorkload({ system, stream: "away", seed: 31, load });
    const other = await startWorkload({ system, stream: "other", seed: 32, load });
    await until(async () => (await countStored(system, away)) > 0, "the first stored messages");
    const before = await flow(system, other);
    const dir = join(system.outputDir, "default", away.stream);
    await rename(dir, `${dir}-aside`);
    await writeFile(dir, "a file where the directory was");
    const meanwhile = await flow(system, other);
    await rm(dir);
    await rename(`${dir}-aside`, dir);
    t.diagnostic(
      `away sink: the other stream stored ${before} messages in 6 s before, ${meanwhile} meanwhile`,
    );
    assert.ok(meanwhile >= before * 0.9, `the other stream stored ${meanwhile} instead of ${before}`);
    for (const workload of [other, away]) {
      const verdict = await judge({ system, workload, withinMs: 20_000 });
      t.diagnostic(`away sink: ${JSON.stringify(verdict)}`);
    }
    assert.deepEqual(system.unasked(), []);
  });
});

async function countStored(system: FaultSystem, { stream }: Workload): Promise<number> {
  return (await storedLines(system, stream)).length;
}

/** Messages that a stream's sink stored in a while. */
async function flow(system: FaultSystem, workload: Workload): Promise<number> {
  const before = await countStored(system, workload);
  await sleep(windowMs);
  return (await countStored(system, workload)) - before;
}
