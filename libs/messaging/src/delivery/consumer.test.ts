import assert from "node:assert/strict";
import { beforeEach, type TestContext, test } from "node:test";
import { CodedError } from "@millrace/errors";
import { decodeBatch, idText, type OpenBatch, openBatch } from "@millrace/envelope";
import { buildBatch, inlineBatch, textsOf } from "@millrace/envelope/testing";
import { Batch, DeadLetter } from "@millrace/proto/batch";
import type { Component } from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { natsWorkbench } from "../testing/workbench.js";
import type { Handler } from "./consume/options.js";
import { consumeBatches, type ConsumeOptions } from "./consumer.js";
import { createDeadLetterWriter } from "./dead-letters.js";
import { createPublisher } from "./publisher.js";

// Room for a dead letter of 12 MiB in the share that dead letters have.
const bench = natsWorkbench({ storeBytes: 1024 * 1024 * 1024 });
const rawSubject = "raw.batch.any.default.s";
const cleanSubject = "clean.batch.any.default.s";
const never = new AbortController().signal;

beforeEach(async () => {
  const { manager } = bench.admin();
  for (const name of ["RAW", "CLEAN", "DLQ_RAW", "EVENTS"]) await manager.streams.purge(name);
});

const open = async (data: Uint8Array): Promise<OpenBatch> => {
  const batch = decodeBatch(data);
  return openBatch(batch, batch.body?.$case === "inline" ? batch.body.value : new Uint8Array());
};

interface Running {
  consumer: Component;
  dead: number[];
  stop(): Promise<void>;
}

/** Stops with its test at the latest: it would take the deliveries of the next one. */
async function consume(
  t: TestContext,
  handle: Handler,
  over: Partial<ConsumeOptions> = {},
): Promise<Running> {
  const broker = await bench.connect("privacy");
  const runtime = testRuntime();
  const publisher = createPublisher(broker);
  const dead: number[] = [];
  const consumer = consumeBatches({
    broker,
    runtime,
    publisher,
    deadLetters: createDeadLetterWriter({
      publisher,
      stage: "privacy",
      side: "raw",
      now: () => 1_700_000_000_000,
    }),
    consumer: "privacy-batch",
    handle,
    open,
    onDead: async (_, rows) => void dead.push(...rows),
    inFlightMax: 4,
    ...over,
  });
  await consumer.start?.();
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= Promise.resolve(consumer.stop?.(never)));
  t.after(() => consumer.stop?.(AbortSignal.abort()));
  return { consumer, dead, stop };
}

async function publishRaw(from: number, texts: readonly string[] = ["one"]): Promise<OpenBatch> {
  const batch = buildBatch({ texts, from });
  const publisher = createPublisher(await bench.connect("buffer"));
  // Ids must be new to the broker's window, which a purge does not empty.
  const id = `${idText(batch.header.id)}-${process.hrtime.bigint()}`;
  await publisher.publish({ subject: rawSubject, data: Batch.encode(inlineBatch(batch)).finish(), id });
  return batch;
}

const stored = async (name: string): Promise<number> =>
  (await bench.admin().manager.streams.info(name)).state.messages;

const settled = (name: string): Promise<boolean> =>
  eventually(async () => (await stored(name)) === 0, { what: `${name} is settled`, deadlineMs: 30_000 });

async function letters(): Promise<DeadLetter[]> {
  const { manager } = bench.admin();
  const { state } = await manager.streams.info("DLQ_RAW");
  const found: DeadLetter[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await manager.streams.getMessage("DLQ_RAW", { seq });
    if (message !== null) found.push(DeadLetter.decode(message.data));
  }
  return found;
}

const bytesOf = (letter: DeadLetter | undefined): string =>
  letter?.batch?.body?.$case === "inline" ? Buffer.from(letter.batch.body.value).toString() : "";

test("a delivery is acknowledged only when all that came of it is stored and told", async (t) => {
  const seen: string[] = [];
  await publishRaw(1);
  await consume(t, async (batch) => {
    seen.push(...textsOf(batch));
    return {
      publish: [{ subject: cleanSubject, data: Buffer.from("out"), id: `out-${process.hrtime.bigint()}` }],
      after: () => void seen.push("after"),
    };
  });
  await settled("RAW");
  assert.deepEqual(seen, ["one", "after"]);
  assert.equal(await stored("CLEAN"), 1);
});

test("an internal error is delivered again after a delay, and then passes", async (t) => {
  let calls = 0;
  await publishRaw(2);
  await consume(t, async () => {
    if (++calls === 1) throw new Error("a mistake of ours");
    return {};
  });
  await settled("RAW");
  assert.equal(calls, 2);
  assert.equal(await stored("DLQ_RAW"), 0);
});

test("data loss goes to the dead letters with bytes and reason, once, and is told as an event", async (t) => {
  await publishRaw(3, ["bad one", "bad two"]);
  const running = await consume(t, async () => {
    throw new CodedError("data_loss", "read range: the checksum does not match");
  });
  await settled("RAW");
  const found = await letters();
  assert.deepEqual(found.map(bytesOf), ["bad one", "bad two"]);
  assert.deepEqual(
    found.map(({ stage, code }) => [stage, code]),
    [
      ["privacy", "data_loss"],
      ["privacy", "data_loss"],
    ],
  );
  assert.equal(found[0]?.reason, "read range: the checksum does not match");
  assert.deepEqual(running.dead, [0, 1]);
  assert.equal(await stored("EVENTS"), 2);
});

test("what came of a body that changed meanwhile is dropped, and the batch is delivered again", async (t) => {
  let looks = 0;
  const told: string[] = [];
  const id = `verified-${process.hrtime.bigint()}`;
  await publishRaw(8);
  await consume(
    t,
    async () => ({
      publish: [{ subject: cleanSubject, data: Buffer.from("out"), id: `${id}-${looks}` }],
      after: () => void told.push("after"),
    }),
    {
      verify: async () => {
        if (++looks === 1) throw new CodedError("aborted", "the segment was written again");
      },
    },
  );
  await settled("RAW");
  const out = await bench.admin().manager.streams.getMessage("CLEAN", { last_by_subj: cleanSubject });
  assert.equal(out?.header.get("Nats-Msg-Id"), `${id}-1`);
  assert.deepEqual([looks, told, await stored("CLEAN"), await stored("DLQ_RAW")], [2, ["after"], 1, 0]);
});

test("rows that fail are dead-lettered alone, and the rest of the batch passes", async (t) => {
  await publishRaw(4, ["good", "bad", "good too"]);
  const error = new CodedError("invalid_argument", "no such thing");
  let after = 0;
  const running = await consume(t, async () => ({
    failures: [{ row: 1, error }],
    after: () => void after++,
  }));
  await settled("RAW");
  assert.deepEqual((await letters()).map(bytesOf), ["bad"]);
  assert.deepEqual([running.dead, after], [[1], 1]);
});

test("a payload that is no batch goes to the dead letters as it came", async (t) => {
  const publisher = createPublisher(await bench.connect("buffer"));
  await publisher.publish({
    subject: rawSubject,
    data: Buffer.from("garbage"),
    id: `g-${process.hrtime.bigint()}`,
  });
  await consume(t, async () => assert.fail("never handled"));
  await settled("RAW");
  assert.deepEqual((await letters()).map(bytesOf), ["garbage"]);
});

test("a letter that is too large with its attributes is cut to fit, and says by how much", async () => {
  const attributes = Object.fromEntries(
    Array.from({ length: 48 }, (_, n) => [`name${n}`, "v".repeat(8 * 1024)]),
  );
  const large = buildBatch({ texts: ["x".repeat(12 * 1024 * 1024)], attributes: [attributes] });
  const publisher = createPublisher(await bench.connect("privacy"));
  const writer = createDeadLetterWriter({ publisher, stage: "privacy", side: "raw", now: () => 0 });
  await writer.write(large, [0], new CodedError("data_loss", "broken"), 1);
  const [letter] = await letters();
  assert.equal(bytesOf(letter).length + (letter?.truncatedBytes ?? 0), 12 * 1024 * 1024);
  assert.ok(bytesOf(letter).length > 11 * 1024 * 1024);
});

test("waiting outlives the ack wait: no second delivery, no attempt counted, then it passes", async (t) => {
  let calls = 0;
  let away = true;
  const deliveries: number[] = [];
  for (let n = 0; n < 9; n++) await publishRaw(100 + n);
  const running = await consume(t, async () => {
    calls++;
    if (away) throw new CodedError("unavailable", "publish to clean: no answer");
    return { after: () => void deliveries.push(1) };
  });
  await eventually(() => calls > 0, { what: "the first try" });
  assert.match(running.consumer.health?.() ?? "", /waiting: unavailable: publish to clean/);
  // Longer than the ack wait of 10 s, by the broker's own count of deliveries in hand.
  const started = performance.now();
  const { manager } = bench.admin();
  await eventually(() => performance.now() - started > 12_000, {
    what: "12 s",
    deadlineMs: 13_000,
    pollMs: 500,
  });
  const info = await manager.consumers.info("RAW", "privacy-batch");
  assert.equal(info.num_redelivered, 0);
  assert.ok(info.num_ack_pending <= 4, "no more is pulled than is in hand");
  away = false;
  await settled("RAW");
  assert.equal(deliveries.length, 9);
  assert.equal(await stored("DLQ_RAW"), 0);
  // The broker has its ack a moment before the consumer knows of it.
  await eventually(() => running.consumer.health?.() === undefined, { what: "nothing waits any more" });
});

test("what deliveries wait for is shown by its name for as long as they wait", async (t) => {
  const runtime = testRuntime();
  let isFull = true;
  await publishRaw(150);
  const handle: Handler = async () => {
    if (isFull) throw new CodedError("resource_exhausted", "publish to clean", { subject: "bus:clean" });
    return {};
  };
  await consume(t, handle, { runtime });
  const waiting = (count: number): Promise<boolean> => {
    const line = new RegExp(`backpressure_waiting\\{waiter="privacy-batch",for="bus:clean".*\\} ${count}`);
    return eventually(async () => line.test(await runtime.metrics.text()), { what: `${count} waiting` });
  };
  await waiting(1);
  isFull = false;
  await settled("RAW");
  await waiting(0);
});

test("deliveries behind slow ones are not redelivered, however long they queue", async (t) => {
  const seen: string[] = [];
  for (let n = 0; n < 3; n++) await publishRaw(200 + n, [`m${n}`]);
  await consume(
    t,
    async (batch) => {
      const started = performance.now();
      seen.push(...textsOf(batch));
      await eventually(() => performance.now() - started > 4_500, { what: "slow work", pollMs: 250 });
      return {};
    },
    { inFlightMax: 1 },
  );
  await settled("RAW");
  assert.deepEqual(seen.sort(), ["m0", "m1", "m2"]);
});

test("a stream is worked on as many times at once as its parallelism says", async (t) => {
  for (const [parallelism, most] of [
    [1, 1],
    [3, 3],
    [0, 2],
    [99, 6],
  ] as const) {
    for (let n = 0; n < 12; n++) await publishRaw(400 + n);
    let underWay = 0;
    let seen = 0;
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const running = await consume(
      t,
      async () => {
        seen = Math.max(seen, ++underWay);
        await released;
        await new Promise((resolve) => setImmediate(resolve));
        underWay -= 1;
        return {};
      },
      { inFlightMax: 6, parallelismDefault: 2, parallelismOf: () => parallelism },
    );
    await eventually(() => underWay === most, { what: `${most} are worked on at once` });
    // Any more of them would have come by now.
    await stored("RAW");
    release();
    await settled("RAW");
    assert.equal(seen, most, `parallelism ${parallelism}`);
    await running.stop();
  }
});

test("stopping releases what waits: another replica gets it at once", async (t) => {
  await publishRaw(5);
  let tries = 0;
  const first = await consume(t, async () => {
    tries++;
    throw new CodedError("resource_exhausted", "publish: the stream is full");
  });
  await eventually(() => tries > 0, { what: "the first try" });
  await first.stop();
  const second = await consume(t, async () => ({}));
  // Given back, not left to the ack wait of 10 s.
  await eventually(async () => (await stored("RAW")) === 0, { what: "RAW is settled", deadlineMs: 6_000 });
  await second.stop();
});

test("stopping lets work in flight finish, and a hard stop gives it back", async (t) => {
  await publishRaw(6);
  let finish: (() => void) | undefined;
  const first = await consume(t, async () => {
    await new Promise<void>((resolve) => (finish = resolve));
    return {};
  });
  await eventually(() => finish, { what: "work has begun" });
  const stopping = first.stop();
  finish?.();
  await stopping;
  assert.equal(await stored("RAW"), 0);

  await publishRaw(7);
  const hard = new AbortController();
  let begun = false;
  const second = await consume(t, async (_, signal) => {
    begun = true;
    await new Promise((_resolve, reject) =>
      signal.addEventListener("abort", () => reject(new Error("given up"))),
    );
    return {};
  });
  await eventually(() => begun, { what: "work has begun" });
  const ending = second.consumer.stop?.(hard.signal);
  hard.abort();
  await ending;
  const third = await consume(t, async () => ({}));
  await settled("RAW");
  await third.stop();
});

test("what a holder that died had in hand is delivered to another after the ack wait", async (t) => {
  await publishRaw(8);
  const dying = await bench.connect("privacy");
  const consumer = await dying.js.consumers.get("RAW", "privacy-batch");
  const held = await consumer.next({ expires: 5_000 });
  assert.ok(held);
  await dying.connection.close();
  await consume(t, async () => ({}));
  await settled("RAW");
});

test("a broker that restarts is pulled from again", async (t) => {
  const seen: string[] = [];
  await consume(t, async (batch) => {
    seen.push(...textsOf(batch));
    return {};
  });
  await publishRaw(9, ["before"]);
  await settled("RAW");
  await bench.nats().restart();
  await publishRaw(10, ["after"]);
  await eventually(() => seen.includes("after"), { what: "the pull goes on", deadlineMs: 30_000 });
  assert.deepEqual(seen, ["before", "after"]);
});
