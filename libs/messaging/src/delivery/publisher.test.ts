import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { RetentionPolicy } from "@nats-io/jetstream";
import type { NatsServer } from "../testing/nats-server.js";
import { natsWorkbench } from "../testing/workbench.js";
import { eraseStored, readLastStored } from "../state/stored.js";
import { createPublisher } from "./publisher.js";

const bench = natsWorkbench();
const subject = "raw.batch.any.default.s";

test("a second publish under one id is recognised and answered with the first one's number", async () => {
  const publisher = createPublisher(await bench.connect("buffer"));
  const first = await publisher.publish({ subject, data: Buffer.from("one"), id: "a" });
  assert.deepEqual(first, { jetStream: "RAW", seq: first.seq, duplicate: false });
  assert.deepEqual(await publisher.publish({ subject, data: Buffer.from("one"), id: "a" }), {
    ...first,
    duplicate: true,
  });
});

test("a full stream refuses with resource_exhausted, and takes it when there is room", async () => {
  const { manager } = bench.admin();
  const raw = await manager.streams.info("RAW");
  await manager.streams.purge("RAW");
  await manager.streams.update("RAW", { ...raw.config, max_bytes: 4_000 });
  const publisher = createPublisher(await bench.connect("buffer"));
  const data = new Uint8Array(1_500);
  await publisher.publish({ subject, data, id: "full-1" });
  await publisher.publish({ subject, data, id: "full-2" });
  const refused = publisher.publish({ subject, data, id: "full-3" });
  await assert.rejects(refused, { code: "resource_exhausted", retryAfterMs: 1_000 });
  await manager.streams.purge("RAW");
  assert.equal((await publisher.publish({ subject, data, id: "full-3" })).duplicate, false);
  await manager.streams.update("RAW", raw.config);
});

test("a stream full by its number of messages refuses with resource_exhausted too", async () => {
  const { manager } = bench.admin();
  const raw = await manager.streams.info("RAW");
  await manager.streams.purge("RAW");
  await manager.streams.update("RAW", { ...raw.config, max_msgs: 1 });
  const publisher = createPublisher(await bench.connect("buffer"));
  await publisher.publish({ subject, data: new Uint8Array(1), id: "count-1" });
  const refused = publisher.publish({ subject, data: new Uint8Array(1), id: "count-2" });
  await assert.rejects(refused, { code: "resource_exhausted" });
  await manager.streams.update("RAW", raw.config);
});

test("a message above the broker's limit is data loss at once, not an outage", async () => {
  const publisher = createPublisher(await bench.connect("buffer"));
  const tooLarge = publisher.publish({ subject, data: new Uint8Array(1024 * 1024 + 1), id: "large" });
  await assert.rejects(tooLarge, { code: "data_loss" });
});

test("a publish that the permission table denies says so, without three tries of 5 s", async () => {
  const publisher = createPublisher(await bench.connect("gateway"));
  const denied = publisher.publish({ subject, data: new Uint8Array(1), id: "denied" });
  await assert.rejects(denied, { code: "permission_denied" });
});

test("a write that expects another last sequence number is aborted", async () => {
  const publisher = createPublisher(await bench.connect("output"));
  const content = { subject: "content.default.s.a.c", data: new Uint8Array(1) };
  const { seq } = await publisher.publish({ ...content, id: "cas-1", expectLastSeq: 0 });
  await assert.rejects(publisher.publish({ ...content, id: "cas-2", expectLastSeq: 0 }), { code: "aborted" });
  await publisher.publish({ ...content, id: "cas-3", expectLastSeq: seq });
});

test("what keeps the first leaves it there, and is stored once that is gone", async () => {
  const broker = await bench.connect("output");
  const publisher = createPublisher(broker);
  const of = { subject: "artifact.default.s.a", keepsFirst: true };
  const first = await publisher.publish({ ...of, data: Buffer.from("1"), id: "first-1" });
  const second = await publisher.publish({ ...of, data: Buffer.from("2"), id: "first-2" });
  assert.deepEqual([first.duplicate, second.duplicate], [false, true]);
  assert.equal((await readLastStored(broker, "CONTENT", of.subject))?.seq, first.seq);
  await eraseStored(broker, "CONTENT", first.seq);
  const third = await publisher.publish({ ...of, data: Buffer.from("3"), id: "first-3" });
  assert.equal((await readLastStored(broker, "CONTENT", of.subject))?.seq, third.seq);
});

test("a broker that hangs makes the outcome unknown; the same id later finds what was stored", async () => {
  const { nats } = bench;
  const publisher = createPublisher(await bench.connect("buffer"));
  await publisher.publish({ subject, data: Buffer.from("x"), id: "warm" });
  await stopNow(nats());
  const unknown = assert.rejects(publisher.publish({ subject, data: Buffer.from("x"), id: "hung" }), {
    code: "unavailable",
  });
  try {
    await unknown;
  } finally {
    nats().signal("SIGCONT");
  }
  const { manager } = bench.admin();
  const again = await publisher.publish({ subject, data: Buffer.from("x"), id: "hung" });
  const { state } = await manager.streams.info("RAW", { subjects_filter: subject });
  assert.equal(again.seq, state.last_seq);
  assert.equal((await manager.streams.info("RAW")).config.retention, RetentionPolicy.Workqueue);
});

test("a restarted broker knows ids of what it stores, and forgets those of what was settled", async () => {
  const { manager } = bench.admin();
  const asks = [
    { user: "buffer", to: "raw.batch.any.default.ids" },
    { user: "privacy", to: "enriched.y.y.y.n.batch.any.default.ids" },
    { user: "output", to: "result.default.ids" },
  ];
  const publishers = await Promise.all(
    asks.map(async ({ user, to }) => ({ to, publisher: createPublisher(await bench.connect(user)) })),
  );
  const publish = (settled: boolean) =>
    publishers.map(({ to, publisher }) =>
      publisher.publish({ subject: to, data: new Uint8Array(1), id: settled ? "settled" : "stored" }),
    );
  for (const { jetStream, seq } of await Promise.all(publish(true))) {
    // What leaves a work queue or an interest stream is gone; results stay when they are read.
    if (jetStream !== "RESULT") await manager.streams.deleteMessage(jetStream, seq);
  }
  await Promise.all(publish(false));
  await bench.nats().restart();
  const [raw, enriched, result] = await Promise.all(publish(true));
  assert.deepEqual([raw?.duplicate, enriched?.duplicate, result?.duplicate], [false, false, true]);
  const stored = await Promise.all(publish(false));
  assert.deepEqual(
    stored.map(({ duplicate }) => duplicate),
    [true, true, true],
  );
});

/** A signal takes its time to reach all threads: only a broker that stands still hangs. */
async function stopNow(nats: Pick<NatsServer, "pid" | "signal">): Promise<void> {
  nats.signal("SIGSTOP");
  for (;;) {
    const tasks = await readdir(`/proc/${nats.pid()}/task`).catch(() => []);
    const states = await Promise.all(
      tasks.map((task) => readFile(`/proc/${nats.pid()}/task/${task}/stat`, "utf8").catch(() => ") T")),
    );
    if (states.every((state) => state.slice(state.lastIndexOf(")") + 2).startsWith("T"))) return;
    await setImmediate();
  }
}
