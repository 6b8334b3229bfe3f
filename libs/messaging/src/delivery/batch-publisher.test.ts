import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { buildBatch } from "@millrace/envelope/testing";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { encodeBatch, idText, type SendableBatch, wholeBatch } from "@millrace/envelope";
import { createStoredTracker } from "../state/stored-tracker.js";
import { natsWorkbench } from "../testing/workbench.js";
import { type Bodies, createBatchPublisher, type Placed } from "./batch-publisher.js";
import { createPublisher } from "./publisher.js";

const bench = natsWorkbench();
const subject = "raw.batch.any.default.s";
const hard = new AbortController().signal;

/** Bodies in memory: what libs/segments does with files. */
function memoryBodies(recovered: readonly Placed[] = []): Bodies & { released: string[] } {
  const released: string[] = [];
  return {
    recovered,
    released,
    place: async (open, to) => placed(open, to),
    release: async (id) => void released.push(id),
    close: async () => undefined,
  };
}

function placed(open: SendableBatch, to: string): Placed {
  const bytes = encodeBatch(open, { $case: "inline", value: wholeBatch(open).body });
  return { id: idText(open.header.id), subject: to, bytes, messageCount: open.header.count, inSegment: true };
}

test("recovered batches are published on start under their old ids, each once", async () => {
  const broker = await bench.connect("buffer");
  const runtime = testRuntime();
  const publisher = createPublisher(broker);
  const batches = Array.from({ length: 70 }, (_, n) =>
    placed(buildBatch({ texts: ["t"], from: n }), subject),
  );
  // The last life had published these; the broker still has them.
  for (const { id, bytes } of batches.slice(0, 10)) await publisher.publish({ subject, data: bytes, id });
  const tracker = createStoredTracker(broker, runtime);
  const batchPublisher = createBatchPublisher(publisher, tracker, memoryBodies(batches), runtime);
  await batchPublisher.start?.();
  await batchPublisher.untilRecovered();
  const { state } = await bench.admin().manager.streams.info("RAW");
  assert.equal(state.messages, 70);
  assert.equal(tracker.size(), 70);
  await batchPublisher.stop?.(hard);
  await bench.admin().manager.streams.purge("RAW");
});

test("a body is kept while the broker stores its message, and released when that is gone", async () => {
  const broker = await bench.connect("buffer");
  const runtime = testRuntime();
  const tracker = createStoredTracker(broker, runtime);
  const bodies = memoryBodies();
  const batchPublisher = createBatchPublisher(createPublisher(broker), tracker, bodies, runtime);
  await tracker.start?.();
  await batchPublisher.start?.();
  const [one, two, three] = [1, 2, 3].map((from) => buildBatch({ texts: ["t"], from: 1000 + from }));
  if (one === undefined || two === undefined || three === undefined) assert.fail();
  for (const batch of [one, two, three]) await batchPublisher.publish(batch, subject);
  const { manager } = bench.admin();
  const { state } = await manager.streams.info("RAW");
  // The one in the middle goes first: an acknowledgement floor would not see it.
  await manager.streams.deleteMessage("RAW", state.first_seq + 1);
  await eventually(() => bodies.released.length === 1, { what: "the middle body is released" });
  assert.deepEqual(bodies.released, [idText(two.header.id)]);
  assert.equal(tracker.size(), 2);
  await manager.streams.purge("RAW");
  await eventually(() => bodies.released.length === 3, { what: "all bodies are released" });
  assert.deepEqual(
    new Set(bodies.released),
    new Set([one, two, three].map((open) => idText(open.header.id))),
  );
  await tracker.stop?.(hard);
});

test("a body that is found changed once it is copied is freed, and nothing is published", async () => {
  const broker = await bench.connect("buffer");
  const runtime = testRuntime();
  const bodies = memoryBodies();
  const tracker = createStoredTracker(broker, runtime);
  const batchPublisher = createBatchPublisher(createPublisher(broker), tracker, bodies, runtime);
  const batch = buildBatch({ texts: ["t"], from: 2000 });
  const changed = new CodedError("aborted", "the segment was written again");
  const refused = batchPublisher.publish(batch, subject, () => Promise.reject(changed));
  await assert.rejects(refused, { code: "aborted" });
  assert.deepEqual(bodies.released, [idText(batch.header.id)]);
  assert.equal((await bench.admin().manager.streams.info("RAW")).state.messages, 0);
  await batchPublisher.publish(batch, subject, () => undefined);
  assert.equal(tracker.size(), 1);
  await bench.admin().manager.streams.purge("RAW");
});

test("a bus stream that is full keeps recovered batches waiting, and no other stream or start", async () => {
  const broker = await bench.connect("buffer");
  const runtime = testRuntime();
  const tracker = createStoredTracker(broker, runtime);
  const publisher = createPublisher(broker);
  const full = new Set(["raw"]);
  const publish: typeof publisher.publish = async (message) => {
    if (full.has(message.subject.split(".", 1)[0] ?? "")) throw new CodedError("resource_exhausted", "full");
    return publisher.publish(message);
  };
  const clean = "clean.batch.any.default.s";
  // More than are sent at a time.
  const recovered = Array.from({ length: 40 }, (_, n) =>
    placed(buildBatch({ texts: ["t"], from: 4000 + n }), subject),
  );
  recovered.push(placed(buildBatch({ texts: ["t"], from: 5000 }), clean));
  const bodies = memoryBodies(recovered);
  const batchPublisher = createBatchPublisher({ publish }, tracker, bodies, runtime);
  await batchPublisher.start?.();
  await eventually(() => tracker.size() === 1, { what: "what is for CLEAN is there" });
  assert.match(await runtime.metrics.text(), /millrace_recovered_batches\{destination="raw".*\} 40\n/);
  await batchPublisher.publish(buildBatch({ texts: ["t"], from: 5001 }), clean);
  full.clear();
  await batchPublisher.untilRecovered();
  assert.equal(tracker.size(), 42);
  assert.match(await runtime.metrics.text(), /millrace_recovered_batches\{destination="raw".*\} 0\n/);
  await batchPublisher.stop?.(hard);
  for (const stream of ["RAW", "CLEAN"]) await bench.admin().manager.streams.purge(stream);
});

test("what can't be published yet is given up at a stop", async () => {
  const broker = await bench.connect("gateway");
  const runtime = testRuntime();
  const tracker = createStoredTracker(broker, runtime);
  const full = { publish: () => Promise.reject(new CodedError("resource_exhausted", "full")) };
  const bodies = memoryBodies([placed(buildBatch({ texts: ["t"] }), subject)]);
  const batchPublisher = createBatchPublisher(full, tracker, bodies, runtime);
  await batchPublisher.start?.();
  await batchPublisher.stop?.(hard);
  await batchPublisher.untilRecovered();
  assert.deepEqual([tracker.size(), bodies.released], [0, []]);
});

test("a body is kept where an earlier try got no answer, whatever a later one learns", async () => {
  const broker = await bench.connect("buffer");
  const runtime = testRuntime();
  const bodies = memoryBodies();
  const unknown = new CodedError("unavailable", "no answer");
  const publisher = { publish: () => Promise.reject(unknown) };
  const tracker = createStoredTracker(broker, runtime);
  const batchPublisher = createBatchPublisher(publisher, tracker, bodies, runtime);
  const batch = buildBatch({ texts: ["t"], from: 3000 });
  await assert.rejects(batchPublisher.publish(batch, subject), { code: "unavailable" });
  const lost = new CodedError("canceled", "this process stood still");
  await assert.rejects(
    batchPublisher.publish(batch, subject, () => Promise.reject(lost)),
    { code: "canceled" },
  );
  assert.deepEqual(bodies.released, []);
});
