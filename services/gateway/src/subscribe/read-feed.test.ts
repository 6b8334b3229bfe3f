import assert from "node:assert/strict";
import test from "node:test";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import type { Tailed } from "@millrace/messaging";
import { Batch } from "@millrace/proto/batch";
import { GapReason, SlowConsumer } from "@millrace/proto/message";
import { type FeedItem, readFeed } from "./read-feed.js";
import { createResultEntry, type Joints, type ResultEntry } from "./result-entry.js";
import { createResultFeeds, type ResultFeed } from "./result-feed.js";

const of = { tenant: "default", stream: "live" };

/** The results of a stream, stored one by one, as several readers of the broker would see them. */
function createStored(bytesMax = 1024 * 1024) {
  const results: Tailed[] = [];
  const woken = new Set<() => void>();
  const clock = { ms: 0 };
  const pauses: { ms: number; resolve: () => void }[] = [];
  let readers = 0;
  async function* tail(_: unknown, from: number, signal: AbortSignal): AsyncGenerator<Tailed> {
    readers += 1;
    const ended = new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    try {
      for (let at = 0; !signal.aborted; ) {
        const next = results[at];
        if (next === undefined) {
          await Promise.race([ended, new Promise<void>((resolve) => woken.add(resolve))]);
          continue;
        }
        at += 1;
        if (next.seq >= from) yield { ...next, pending: results.length - at };
      }
    } finally {
      readers -= 1;
    }
  }
  const feeds = createResultFeeds({
    bounds: async () => ({ last: results.at(-1)?.seq ?? 0 }),
    tail,
    now: () => clock.ms,
    sleep: (ms) => new Promise((resolve) => pauses.push({ ms, resolve })),
    bytesMax,
  });
  /** Numbers have holes: results of other streams lie between. */
  const store = async (text: string, sourceId = "s"): Promise<void> => {
    const seq = 3 * (results.length + 1);
    const data = Batch.encode(inlineBatch(buildBatch({ texts: [text], sourceIds: [sourceId] }))).finish();
    results.push({ seq, subject: "", data, pending: 0 });
    for (const wake of woken) wake();
    woken.clear();
    for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  };
  const subscribe = async (
    slowConsumer = SlowConsumer.SLOW_CONSUMER_BLOCK,
    from?: number,
    tellNow?: (texts: unknown[]) => boolean,
  ) => {
    const feed = await feeds.open(of);
    const ending = new AbortController();
    const items = readFeed({
      feed,
      from: from ?? (results.at(-1)?.seq ?? 0) + 1,
      slowConsumer,
      catchUp: async function* catchUp(range) {
        for (const each of results.slice())
          if (each.seq >= range.from && each.seq <= range.to) yield createResultEntry(each, clock.ms);
      },
      now: () => clock.ms,
      signal: ending.signal,
      ...(tellNow && { tellNow: (entries) => tellNow(textsOf(entries)) }),
    });
    return { feed, items, end: () => ending.abort(), next: async () => told((await items.next()).value) };
  };
  return { feeds, store, subscribe, clock, pauses, readers: () => readers };
}

function textsOf(entries: readonly ResultEntry[]): unknown[] {
  return entries.flatMap((entry) => entry.messages().map(({ content }) => content?.value));
}

function told(item: FeedItem | undefined): { texts: unknown[]; skipped: FeedItem["skipped"] } {
  return { texts: textsOf(item?.entries ?? []), skipped: item?.skipped };
}

const settle = async (feed: ResultFeed): Promise<void> => {
  feed.close();
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
};

test("a stream has one reader, however many subscribe, and none when the last one went", async () => {
  const { feeds, subscribe, store, readers } = createStored();
  const [one, other] = [await subscribe(), await subscribe()];
  await store("a");
  assert.deepEqual(
    [await one.next(), await other.next()].map(({ texts }) => texts),
    [["a"], ["a"]],
  );
  assert.deepEqual([readers(), feeds.count()], [1, 1]);
  await settle(one.feed);
  assert.equal(readers(), 1);
  await settle(other.feed);
  assert.deepEqual([readers(), feeds.count()], [0, 0]);
});

test("who blocks gets everything in order, though the feed has long let go of it", async () => {
  const { subscribe, store } = createStored(1_000);
  const slow = await subscribe();
  const texts = Array.from({ length: 40 }, (_, number) => `text ${number}`);
  for (const text of texts) await store(text);
  const read: unknown[] = [];
  while (read.length < texts.length) read.push(...(await slow.next()).texts);
  assert.deepEqual(read, texts);
});

test("what waits is told together, as much as fits a response", async () => {
  const { subscribe, store } = createStored();
  const slow = await subscribe();
  for (const text of ["a", "b", "x".repeat(200 * 1024), "y".repeat(100 * 1024), "c"]) await store(text);
  const sizes = [await slow.next(), await slow.next()].map(({ texts }) =>
    texts.map((text) => String(text).length),
  );
  assert.deepEqual(sizes, [
    [1, 1, 200 * 1024],
    [100 * 1024, 1],
  ]);
});

test("who conflates reads history in full", async () => {
  const { subscribe, store } = createStored();
  await subscribe();
  for (const text of ["a", "b", "c"]) await store(text);
  const { items } = await subscribe(SlowConsumer.SLOW_CONSUMER_CONFLATE, 1);
  const item = (await items.next()).value as FeedItem;
  assert.deepEqual([told(item).texts, item.isConflated], [["a", "b", "c"], false]);
});

test("a place in the middle of history is read from there, then live", async () => {
  const { subscribe, store } = createStored();
  for (const text of ["a", "b", "c"]) await store(text);
  const resumed = await subscribe(SlowConsumer.SLOW_CONSUMER_DROP, 4);
  assert.deepEqual([(await resumed.next()).texts, (await resumed.next()).texts], [["b"], ["c"]]);
  const waiting = resumed.next();
  await store("d");
  assert.deepEqual((await waiting).texts, ["d"]);
});

test("who drops misses what waited for more than a second, and is told how much that is", async () => {
  const { subscribe, store, clock } = createStored();
  const slow = await subscribe(SlowConsumer.SLOW_CONSUMER_DROP);
  const first = slow.next();
  await store("a");
  assert.deepEqual((await first).texts, ["a"]);
  for (const text of ["b", "c"]) await store(text);
  clock.ms += 1_500;
  for (const text of ["d", "e"]) await store(text);
  const skipped = { batches: 2, messages: 2, reason: GapReason.GAP_REASON_DROPPED };
  assert.deepEqual(await slow.next(), { texts: ["d", "e"], skipped });
});

test("who drops and fell behind all that is kept goes on with what there is, told of the rest", async () => {
  const { subscribe, store, clock } = createStored(1_000);
  const slow = await subscribe(SlowConsumer.SLOW_CONSUMER_DROP);
  const first = slow.next();
  await store("a");
  await first;
  for (let number = 0; number < 40; number++) await store(`old ${number}`);
  clock.ms += 2_000;
  await store("new");
  const skipped = { batches: 40, messages: 40, reason: GapReason.GAP_REASON_DROPPED };
  assert.deepEqual(await slow.next(), { texts: ["new"], skipped });
});

test("who conflates is given all that waits at once", async () => {
  const { subscribe, store } = createStored();
  const slow = await subscribe(SlowConsumer.SLOW_CONSUMER_CONFLATE);
  const first = slow.next();
  await store("a");
  await first;
  for (const text of ["b", "c", "d"]) await store(text);
  assert.deepEqual(await slow.next(), { texts: ["b", "c", "d"], skipped: undefined });
});

test("who waits is told at once, and in its turn from where that can't be on", async () => {
  const { subscribe, store } = createStored();
  const told: unknown[] = [];
  const isTold = (texts: unknown[]): boolean => {
    if (texts.includes("c")) return false;
    told.push(...texts);
    return true;
  };
  const one = await subscribe(SlowConsumer.SLOW_CONSUMER_BLOCK, undefined, isTold);
  const next = one.next();
  for (const text of ["a", "b", "c", "d"]) await store(text);
  assert.deepEqual(told, ["a", "b"]);
  assert.deepEqual((await next).texts, ["c"]);
  assert.deepEqual((await one.next()).texts, ["d"]);
});

test("a pause makes nobody slow: who conflates and has room is told all of it", async () => {
  const { subscribe, store, pauses } = createStored();
  const told = Array.from({ length: 20 }, (): unknown[][] => []);
  for (const responses of told) {
    const tellNow = (texts: unknown[]): boolean => responses.push(texts) > 0;
    void (await subscribe(SlowConsumer.SLOW_CONSUMER_CONFLATE, undefined, tellNow)).next();
  }
  for (const text of ["a", "b", "c"]) await store(text);
  pauses[0]?.resolve();
  await Promise.resolve();
  assert.deepEqual(told, Array(20).fill([["a"], ["b", "c"]]));
});

test("many subscribers are told what came in a pause together", async () => {
  const { subscribe, store, pauses } = createStored();
  const told = Array.from({ length: 20 }, (): unknown[][] => []);
  for (const responses of told) {
    const tellNow = (texts: unknown[]): boolean => responses.push(texts) > 0;
    void (await subscribe(SlowConsumer.SLOW_CONSUMER_BLOCK, undefined, tellNow)).next();
  }
  for (const text of ["a", "b", "c"]) await store(text);
  assert.deepEqual(told, Array(20).fill([["a"]]));
  const [pause] = pauses;
  assert.equal(pause?.ms, 4);
  pause.resolve();
  await Promise.resolve();
  assert.deepEqual(told, Array(20).fill([["a"], ["b", "c"]]));
});

test("one who fails while all are told ends alone, told or in a pause", async () => {
  const { subscribe, store, pauses } = createStored();
  const fail = (): never => assert.fail("not to be told");
  const failing = await subscribe(SlowConsumer.SLOW_CONSUMER_BLOCK, undefined, fail);
  const failed = failing.next();
  const told = Array.from({ length: 9 }, (): unknown[] => []);
  for (const texts of told) {
    const tellNow = (more: unknown[]): boolean => texts.push(...more) > 0;
    void (await subscribe(SlowConsumer.SLOW_CONSUMER_BLOCK, undefined, tellNow)).next();
  }
  await store("a");
  assert.deepEqual((await failed).texts, ["a"]);
  void failing.next();
  await store("b");
  pauses[0]?.resolve();
  await Promise.resolve();
  assert.deepEqual(told, Array(9).fill(["a", "b"]));
});

test("responses that are joined are shared, and of many that differ the latest are kept", () => {
  const joints: Joints = new Map();
  const bytes = Batch.encode(inlineBatch(buildBatch({ texts: ["a"], sourceIds: ["s"] }))).finish();
  const entry = (seq: number): ResultEntry =>
    createResultEntry({ seq, subject: "", data: bytes, pending: 0 }, 0, joints);
  const [last, ...firsts] = Array.from({ length: 100 }, (_, at) => entry(100 - at));
  const joined = (first: ResultEntry | undefined) => last?.joined(first && last ? [first, last] : [], 1);
  const early = joined(firsts[0]);
  assert.equal(joined(firsts[0]), early);
  assert.deepEqual(early?.places.at(-1), { messages: 1, resumeToken: early?.resumeToken });
  assert.notEqual(early?.places[0]?.resumeToken, early?.resumeToken);
  for (const first of firsts) joined(first);
  assert.equal(joints.size, 32);
});

test("a reader that fails ends its subscribers, and the next one begins anew", async () => {
  let fails = true;
  const feeds = createResultFeeds({
    bounds: async () => ({ last: 0 }),
    tail: async function* tail(_, __, signal) {
      if (fails) throw new Error("no broker");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      yield* [];
    },
    now: () => 0,
    sleep: async () => undefined,
    bytesMax: 1_000,
  });
  const feed = await feeds.open(of);
  await assert.rejects(feed.arrival(0, new AbortController().signal), /no broker/);
  fails = false;
  const again = await feeds.open(of);
  assert.equal(feeds.count(), 1);
  again.close();
  feed.close();
  assert.equal(feeds.count(), 0);
});
