import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { limits } from "@millrace/envelope";
import { until } from "../../system/observe.js";
import { rejects } from "../../system/refusals.js";
import { having, tellLeftOut } from "../cases.js";
import type { ContractSystem } from "../contract-system.js";
import { lineFiles, wholeFiles } from "./files.js";
import { kafkaSource } from "./kafka.js";
import { type Fed, feedOf } from "./fed.js";
import { pushSource } from "./push.js";
import type { SourceUnderTest } from "./source-under-test.js";
import { websocketSource } from "./websocket.js";

const sources = [kafkaSource, websocketSource, lineFiles, wholeFiles, pushSource] as const;
const quotaBytes = 1024 * 1024;
/** Three times the quota, twice. */
const many = { count: 64, bytes: 48 * 1024 } as const;

/** The list that every kind of source passes, over one running system. */
export function describeSources(running: () => ContractSystem): void {
  for (const reader of ["ingestion", "gateway"] as const) {
    describe(`resume after kill: SIGKILL of ${reader} among messages`, () => {
      const kinds = having(sources, "resume after kill").filter((kind) => kind.reader === reader);
      const fed = new Map<string, Fed>();
      before(async () => {
        await openAll(fed, kinds, (kind) => feedOf(running(), kind, "resume"));
        const all = [...fed.values()];
        await Promise.all(all.map((one) => one.give(50)));
        for (const one of all) await one.untilStored();
        let isOver = false;
        const feeding = all.map(async (one) => {
          while (!isOver) {
            await one.give(4);
            await sleep(50);
          }
        });
        await sleep(500);
        await running().program(reader).crash();
        await sleep(500);
        isOver = true;
        await Promise.all(feeding);
      });
      after(() => closeAll(fed));

      for (const { name, replays } of kinds) {
        const lost = replays ? "nothing is lost" : "what is lost is told as a gap";
        it(`${name}: ${lost}, nothing doubled`, async (t) => {
          const one = fed.get(name) as Fed;
          if (!replays) await until(() => one.gaps.length > 0, "the gap is told");
          await one.give(10);
          await one.untilStored();
          await one.assertStoredOnce();
          assert.equal(one.gaps.length, replays ? 0 : 1);
          t.diagnostic(`${name}, ${reader} killed: ${one.count()} sent, ${one.missing()} in a told gap`);
        });
      }
    });
  }

  describe("back-pressure: the stream is full, since output stands still", () => {
    const kinds = having(sources, "back-pressure");
    const fed = new Map<string, Fed>();
    const feeding: Promise<void>[] = [];
    describe("it waits", () => {
      before(async () => {
        await openAll(fed, kinds, (kind) => feedOf(running(), kind, "full", { bufferSize: quotaBytes }));
        running().program("output").signal("SIGSTOP");
        // Full is a stream once a batch goes beyond its quota, however large: what comes behind it waits.
        for (let round = 0; round < 2; round++) {
          for (const one of fed.values()) feeding.push(one.give(many.count, many.bytes));
          for (const one of fed.values()) await one.untilInOrWaiting();
        }
      });
      after(() => running().program("output").signal("SIGCONT"));
      for (const { name, reader } of kinds) {
        it(name, async () => {
          const { source } = fed.get(name) as Fed;
          await until(() => source.waits(), `${name} says that it waits`);
          if (reader === "ingestion") assert.match(await source.lastError(), /is full/);
        });
      }
    });
    describe("there is room again, and all of it arrives", () => {
      before(() => Promise.all(feeding));
      after(() => closeAll(fed));
      for (const { name } of kinds) {
        it(name, async () => {
          const one = fed.get(name) as Fed;
          await one.untilStored();
          await one.assertStoredOnce();
          assert.deepEqual(one.gaps, []);
          await until(async () => !(await one.source.waits()), "it goes on");
        });
      }
    });
  });

  for (const kind of having(sources, "bad input")) {
    it(`bad input: ${kind.name}: each is told with its reason, what is good passes`, async () => {
      await using one = await feedOf(running(), kind, "bad");
      for (const bad of one.source.bad) {
        await one.give(1);
        await one.giveBad(bad);
      }
      await one.give(1);
      await one.untilStored();
      await one.assertTold(one.source.bad);
      for (const [field, add] of kind.badSettings({ system: running(), stream: one.stream })) {
        await rejects(add(), "invalid_argument", field);
      }
    });
  }

  for (const kind of having(sources, "TLS")) {
    it(`TLS: ${kind.name}: an authority's certificate is trusted, a stranger's is not`, async () => {
      await using trusted = await feedOf(running(), kind, "trusted", { signedBy: "authority" });
      await trusted.give(3);
      await using other = await feedOf(running(), kind, "stranger", { signedBy: "stranger" });
      const { untrusted = /never/ } = kind;
      await other.untilSaid(untrusted, "the certificate is refused");
      if (kind.reader === "ingestion") await until(() => other.failures.length > 0, "source_failed");
      await trusted.untilStored();
      await trusted.assertStoredOnce();
      assert.deepEqual(await other.stored(), []);
    });
  }

  for (const kind of having(sources, "limits")) {
    it(`limits: ${kind.name}: the largest message passes, one byte more does not`, async () => {
      await using one = await feedOf(running(), kind, "limits");
      await one.give(1, limits.messageBytesMax);
      await one.giveBad(one.source.tooLarge);
      await one.give(1);
      await one.untilStored();
      await one.assertTold([one.source.tooLarge]);
    });
  }

  for (const kind of having(sources, "lost connection")) {
    it(`lost connection: ${kind.name}: its peer is asked to go on, the gap is told as resumed`, async () => {
      await using one = await feedOf(running(), kind, "cut");
      await one.give(10);
      await one.untilStored();
      await one.source.cut?.();
      await one.give(10);
      await until(() => one.gaps.length === 1, "the gap is told");
      assert.equal(one.gaps[0]?.resumed, true);
      await until(async () => (await one.stored()).length === 20, "what was sent meanwhile, too");
      await one.assertStoredOnce();
    });
  }

  it("what was left out of sources", (t) => tellLeftOut(t, sources));
}

async function openAll(
  fed: Map<string, Fed>,
  kinds: readonly SourceUnderTest[],
  open: (kind: SourceUnderTest) => Promise<Fed>,
): Promise<void> {
  await Promise.all(kinds.map(async (kind) => fed.set(kind.name, await open(kind))));
}

async function closeAll(fed: ReadonlyMap<string, Fed>): Promise<void> {
  for (const one of fed.values()) await one[Symbol.asyncDispose]();
}
