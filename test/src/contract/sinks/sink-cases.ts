import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../../system/observe.js";
import { rejects } from "../../system/refusals.js";
import { having, tellLeftOut } from "../cases.js";
import type { ContractSystem } from "../contract-system.js";
import { kafkaSink } from "./kafka.js";
import { groupSink, subscribeSink } from "./results.js";
import { runSink, type SinkRun } from "./sink-run.js";
import type { SinkUnderTest } from "./sink-under-test.js";
import { storageSink } from "./storage.js";
import { webhookSink } from "./webhook.js";

const stored = [storageSink("records"), storageSink("lines"), storageSink("parquet")];
const sinks = [...stored, kafkaSink, webhookSink, subscribeSink, groupSink] as const;
/** More than the results of a stream that keeps 1 MiB of them. */
const many = { count: 24, bytes: 100_000 } as const;

/** The list that every kind of sink passes, over one running system. */
export function describeSinks(running: () => ContractSystem): void {
  for (const writer of ["output", "gateway"] as const) {
    describe(`resume after kill: SIGKILL of ${writer} among messages`, () => {
      const kinds = having(sinks, "resume after kill").filter((kind) => kind.writer === writer);
      const runs = new Map<string, SinkRun>();
      before(async () => {
        await openAll(running(), { runs, kinds, what: "through" });
        const all = [...runs.values()];
        await Promise.all(all.map((one) => one.give(50)));
        for (const one of all) await one.untilArrived();
        let isOver = false;
        const giving = all.map(async (one) => {
          while (!isOver) {
            await one.give(4);
            await sleep(50);
          }
        });
        await sleep(500);
        await running().program(writer).crash();
        await sleep(500);
        isOver = true;
        await Promise.all(giving);
      });
      after(() => closeAll(runs));
      for (const { name, once } of kinds) {
        it(`${name}: nothing is lost${once ? ", nothing doubled" : ""}`, async (t) => {
          const run = runs.get(name) as SinkRun;
          await run.give(1);
          await run.untilArrived();
          await run.assertArrived();
          const arrived = await run.sink.arrived();
          const twice = arrived.length - new Set(arrived).size;
          t.diagnostic(`${name}, ${writer} killed: ${arrived.length} arrived, ${twice} of them again`);
        });
      }
    });
  }

  const held = having(sinks, "back-pressure");
  for (const kinds of [held.filter(({ givesUp }) => givesUp), held.filter(({ givesUp }) => !givesUp)]) {
    describe("back-pressure: the other side takes nothing", () => {
      const runs = new Map<string, SinkRun>();
      before(async () => {
        await openAll(running(), { runs, kinds, what: "away", isAway: true });
        for (const { sink } of runs.values()) await sink.takeAway();
        await Promise.all([...runs.values()].map((one) => one.give(many.count, many.bytes)));
      });
      after(() => closeAll(runs));
      for (const { name } of kinds) {
        it(`${name}: it waits, and all is there afterwards`, async () => {
          const run = runs.get(name) as SinkRun;
          await until(() => run.sink.holds(), `${name} is seen to wait`);
          await run.sink.giveBack();
          await run.untilArrived();
          await run.assertArrived();
        });
      }
    });
  }

  for (const kind of having(sinks, "bad input")) {
    it(`bad input: ${kind.name}: each is told with its reason, what is good passes`, async () => {
      const system = running();
      await using run = await runSink(system, kind, "wrong");
      for (const bad of run.sink.bad) {
        await run.give(1);
        await run.giveBad(bad);
      }
      await run.give(1);
      await run.untilArrived();
      await run.assertTold(run.sink.bad);
      for (const [field, set] of kind.badSettings({ system, stream: run.stream, name: run.stream.name })) {
        await rejects(set(), "invalid_argument", field);
      }
    });
  }

  for (const kind of having(sinks, "TLS")) {
    it(`TLS: ${kind.name}: an authority's certificate is trusted, a stranger's is not`, async () => {
      await using trusted = await runSink(running(), kind, "known", { signedBy: "authority" });
      await using other = await runSink(running(), kind, "unknown", { signedBy: "stranger" });
      await trusted.give(3);
      await other.give(1);
      await other.untilSaid(kind.untrusted ?? /never/);
      await trusted.untilArrived();
      assert.deepEqual(await other.sink.arrived(), []);
    });
  }

  for (const kind of having(sinks, "limits")) {
    it(`limits: ${kind.name}`, async (t) => {
      await using run = await runSink(running(), kind, "most");
      t.diagnostic(`${kind.name}: ${run.sink.limit.what}`);
      await run.sink.limit.check({
        give: (count, bytes) => run.give(count, bytes),
        untilArrived: () => run.untilArrived(),
      });
      await run.give(1);
      await run.untilArrived();
      await run.assertArrived();
    });
  }

  it("what was left out of sinks", (t) => tellLeftOut(t, sinks));
}

interface ToOpen {
  runs: Map<string, SinkRun>;
  kinds: readonly SinkUnderTest[];
  what: string;
  isAway?: boolean;
}

async function openAll(system: ContractSystem, { runs, kinds, what, isAway = false }: ToOpen): Promise<void> {
  const open = async (kind: SinkUnderTest): Promise<void> =>
    void runs.set(kind.name, await runSink(system, kind, what, { isAway }));
  await Promise.all(kinds.map(open));
}

async function closeAll(runs: ReadonlyMap<string, SinkRun>): Promise<void> {
  for (const one of runs.values()) await one[Symbol.asyncDispose]();
}
