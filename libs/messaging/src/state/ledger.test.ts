import assert from "node:assert/strict";
import { test } from "node:test";
import { Entry } from "@millrace/proto/ledger";
import { createFakeClock, eventually, testRuntime } from "@millrace/runtime/testing";
import type { Broker } from "../broker/broker.js";
import { natsWorkbench } from "../testing/workbench.js";
import { createLedger, type LedgerKey } from "./ledger.js";
import { readLedger } from "./read-ledger.js";

const bench = natsWorkbench();
const stop = new AbortController().signal;
const key = (stream: string): LedgerKey => ({ tenant: "default", stream, source: "f".repeat(32) });

async function storedEntry(stream: string, stage = "buffer"): Promise<Entry | undefined> {
  const bucket = await bench.admin().kv.open("LEDGER");
  const found = await bucket.get(`${stage}.default.${stream}.${"f".repeat(32)}`);
  return found === null ? undefined : Entry.decode(found.value);
}

/** What is returned makes the next write one that is stored and never answered. */
async function losingAnswers(broker: Broker): Promise<() => void> {
  const bucket = await broker.kv.open("LEDGER", { allow_direct: true });
  const put = bucket.put.bind(bucket);
  let lose = false;
  bucket.put = async (...args) => {
    const revision = await put(...args);
    if (!lose) return revision;
    lose = false;
    throw new Error("timeout");
  };
  broker.kv.open = async () => bucket;
  return () => {
    lose = true;
  };
}

test("what is settled is written within one tick of 100 ms, and read back by the next life", async () => {
  const clock = createFakeClock();
  const runtime = testRuntime({ clock });
  const ledger = await createLedger(await bench.connect("buffer"), "buffer", runtime);
  await ledger.start?.();
  ledger.settle(key("tick"), { intervals: [{ from: 0, to: 5 }], done: 4, dead: 1, dropped: { filtered: 2 } });
  await ledger.account(key("tick"));
  assert.equal(await storedEntry("tick"), undefined);
  await clock.advance(100);
  const entry = await eventually(() => storedEntry("tick"), { what: "the entry is stored" });
  assert.deepEqual(entry.settled, [{ from: 0, to: 5 }]);
  assert.deepEqual([entry.done, entry.dead, entry.dropped], [4, 1, { filtered: 2 }]);
  const next = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  const account = await next.account(key("tick"));
  assert.deepEqual([account.settled.intervals(), account.done], [[{ from: 0, to: 5 }], 4]);
  const stopping = ledger.stop?.(stop);
  await clock.advance(100);
  await stopping;
});

test("flush resolves when all that was settled before is stored, also beside another flush", async () => {
  const ledger = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  for (let n = 0; n < 20; n++) {
    ledger.settle(key("flush"), { intervals: [{ from: n, to: n + 1 }], done: 1 });
    const together = [ledger.flush(), ledger.flush()];
    await together[1];
    assert.equal((await storedEntry("flush"))?.done, n + 1);
    await together[0];
  }
});

test("what waits to be acknowledged shares a write, and goes on when that is stored", async () => {
  const clock = createFakeClock();
  const ledger = await createLedger(await bench.connect("buffer"), "buffer", testRuntime({ clock }));
  await ledger.account(key("shared"));
  const waiting: Promise<void>[] = [];
  for (let n = 0; n < 5; n++) {
    ledger.settle(key("shared"), { intervals: [{ from: n, to: n + 1 }], done: 1 });
    waiting.push(ledger.stored());
  }
  assert.equal(clock.sleeping(), 1);
  assert.equal(await storedEntry("shared"), undefined);
  await clock.advance(20);
  await Promise.all(waiting);
  assert.equal((await storedEntry("shared"))?.done, 5);
});

test("two writers of one account add up", async () => {
  const one = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  const two = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  await Promise.all([one.account(key("two")), two.account(key("two"))]);
  for (let n = 0; n < 10; n++) {
    one.settle(key("two"), { intervals: [{ from: 2 * n, to: 2 * n + 1 }], done: 1, dropped: { a: 1 } });
    two.settle(key("two"), {
      intervals: [{ from: 2 * n + 1, to: 2 * n + 2 }],
      done: 1,
      dead: 1,
      dropped: { b: 1 },
    });
    await Promise.all([one.flush(), two.flush()]);
  }
  const entry = await storedEntry("two");
  assert.deepEqual(entry?.settled, [{ from: 0, to: 20 }]);
  assert.deepEqual([entry?.done, entry?.dead, entry?.dropped], [20, 10, { a: 10, b: 10 }]);
});

test("what two writers settled counts once, and the second one is told of it", async () => {
  const [one, two] = await Promise.all(
    [1, 2].map(async () => createLedger(await bench.connect("buffer"), "buffer", testRuntime())),
  );
  if (one === undefined || two === undefined) assert.fail();
  await two.account(key("both"));
  one.settle(key("both"), { intervals: [{ from: 0, to: 10 }], done: 10 });
  await one.flush();
  const told: unknown[] = [];
  const onElsewhere = (intervals: unknown): void => void told.push(intervals);
  two.settle(key("both"), { intervals: [{ from: 5, to: 15 }], done: 10, onElsewhere });
  await two.flush();
  const entry = await storedEntry("both");
  assert.deepEqual([entry?.settled, entry?.done], [[{ from: 0, to: 15 }], 15]);
  assert.deepEqual(told, [[{ from: 5, to: 10 }]]);
});

test("what may be there by an own write that was never answered is not said to be another's", async () => {
  const broker = await bench.connect("buffer");
  const loseNext = await losingAnswers(broker);
  loseNext();
  const ledger = await createLedger(broker, "buffer", testRuntime());
  const onElsewhere = (): void => assert.fail("it is ours");
  ledger.settle(key("own"), { intervals: [{ from: 0, to: 4 }], done: 4, onElsewhere });
  await assert.rejects(ledger.flush(), { code: "unavailable" });
  const other = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  other.settle(key("own"), { intervals: [{ from: 4, to: 6 }], done: 2 });
  await other.flush();
  await ledger.flush();
  const entry = await storedEntry("own");
  assert.deepEqual([entry?.settled, entry?.done], [[{ from: 0, to: 6 }], 6]);
});

test("a write that was stored but never answered is not counted twice", async () => {
  const broker = await bench.connect("buffer");
  const loseNext = await losingAnswers(broker);
  const ledger = await createLedger(broker, "buffer", testRuntime());
  ledger.settle(key("lost"), { intervals: [{ from: 0, to: 1 }], done: 1 });
  await ledger.flush();
  loseNext();
  ledger.settle(key("lost"), { intervals: [{ from: 1, to: 2 }], done: 1 });
  await assert.rejects(ledger.flush(), { code: "unavailable" });
  ledger.settle(key("lost"), { intervals: [{ from: 2, to: 3 }], done: 1 });
  await ledger.flush();
  const entry = await storedEntry("lost");
  assert.deepEqual([entry?.settled, entry?.done], [[{ from: 0, to: 3 }], 3]);
});

test("of several writes without an answer, the one that was stored late is not counted twice", async () => {
  const broker = await bench.connect("buffer");
  const bucket = await broker.kv.open("LEDGER", { allow_direct: true });
  const put = bucket.put.bind(bucket);
  const held: (() => Promise<number>)[] = [];
  let holds = true;
  bucket.put = async (...args) => {
    if (!holds) return put(...args);
    held.push(() => put(...args));
    throw new Error("timeout");
  };
  broker.kv.open = async () => bucket;
  const ledger = await createLedger(broker, "buffer", testRuntime());
  for (let n = 0; n < 3; n++) {
    ledger.settle(key("stopped"), { intervals: [{ from: n, to: n + 1 }], done: 1 });
    await assert.rejects(ledger.flush(), { code: "unavailable" });
  }
  holds = false;
  // The broker goes on and takes them in order: the first is stored, the others name an old revision.
  const taken = await Promise.allSettled(held.map((late) => late()));
  assert.deepEqual(taken.map(({ status }) => status).slice(0, 2), ["fulfilled", "rejected"]);
  ledger.settle(key("stopped"), { intervals: [{ from: 3, to: 4 }], done: 1 });
  await ledger.flush();
  const entry = await storedEntry("stopped");
  assert.deepEqual([entry?.settled, entry?.done], [[{ from: 0, to: 4 }], 4]);
});

test("what is held of a deleted stream is forgotten, not written", async () => {
  const ledger = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  ledger.settle(key("gone"), { intervals: [{ from: 0, to: 1 }], done: 1 });
  ledger.settle(key("gone-not"), { intervals: [{ from: 0, to: 1 }], done: 1 });
  await ledger.account(key("gone"));
  ledger.forget("default", "gone");
  await ledger.flush();
  assert.equal(await storedEntry("gone"), undefined);
  assert.equal((await storedEntry("gone-not"))?.done, 1);
});

test("the accounts of a stream are read by stage and source, and no other stream's", async () => {
  const buffer = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  const privacy = await createLedger(await bench.connect("privacy"), "privacy", testRuntime());
  buffer.settle(key("read"), { intervals: [{ from: 0, to: 2 }], done: 2 });
  privacy.settle(key("read"), { intervals: [], dead: 1 });
  buffer.settle(key("read-2"), { intervals: [{ from: 0, to: 2 }], done: 2 });
  await Promise.all([buffer.flush(), privacy.flush()]);
  const lines = await readLedger(await bench.connect("gateway"), { tenant: "default", stream: "read" });
  const seen = lines.map(({ stage, entry }) => [stage, entry.done, entry.dead]).sort();
  assert.deepEqual(seen, [
    ["buffer", 2, 0],
    ["privacy", 0, 1],
  ]);
});

test("accounts that are purged while they are read are left out, and not waited for", async () => {
  const ledger = await createLedger(await bench.connect("buffer"), "buffer", testRuntime());
  const sources = ["a", "b", "c"].map((letter) => letter.repeat(32));
  for (const source of sources)
    ledger.settle({ ...key("purged"), source }, { intervals: [{ from: 0, to: 2 }], done: 2 });
  await ledger.flush();
  const reader = await bench.connect("gateway");
  const { streams } = bench.admin().manager;
  const filter = `$KV.LEDGER.buffer.default.purged.${sources[1]}`;
  const info: Broker["manager"]["streams"]["info"] = async (...of) => {
    const found = await reader.manager.streams.info(...of);
    await streams.purge("KV_LEDGER", { filter });
    return found;
  };
  const asked = Object.create(reader.manager.streams, { info: { value: info } });
  const purging = { ...reader, manager: Object.create(reader.manager, { streams: { value: asked } }) };
  const lines = await readLedger(purging, { tenant: "default", stream: "purged" });
  assert.deepEqual(lines.map(({ source }) => source).sort(), [sources[0], sources[2]]);
});

test("a death is taken back once, whoever does it, and no other replica's write undoes that", async () => {
  const of = key("reopened");
  const dead = { intervals: [{ from: 3, to: 4 }], dead: 1 };
  const a = await createLedger(await bench.connect("output"), "results", testRuntime());
  const b = await createLedger(await bench.connect("output"), "results", testRuntime());
  a.settle(of, { intervals: [{ from: 0, to: 3 }], done: 3 });
  await a.account(of);
  a.settle(of, dead);
  await a.flush();
  await b.account(of);
  assert.equal(await a.reopen(of, { from: 3, to: 4 }), "again");
  assert.equal(await b.reopen(of, { from: 3, to: 4 }), "again", "it is not through yet");
  b.settle(of, { intervals: [{ from: 4, to: 5 }], done: 1 });
  await b.flush();
  const reopened = await storedEntry("reopened", "results");
  assert.deepEqual([reopened?.done, reopened?.dead], [4, 0]);
  assert.deepEqual(reopened?.settled, [
    { from: 0, to: 3 },
    { from: 4, to: 5 },
  ]);
  a.settle(of, dead);
  await a.flush();
  assert.equal((await storedEntry("reopened", "results"))?.dead, 1, "it died again");
  assert.equal(await b.reopen(of, { from: 3, to: 4 }), "again");
  b.settle(of, { intervals: [{ from: 3, to: 4 }], done: 1 });
  await b.flush();
  assert.equal(await a.reopen(of, { from: 3, to: 4 }), "settled");
  const entry = await storedEntry("reopened", "results");
  assert.deepEqual([entry?.done, entry?.dead, entry?.settled], [5, 0, [{ from: 0, to: 5 }]]);
});
