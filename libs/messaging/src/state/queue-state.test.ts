import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { eventually } from "@millrace/runtime/testing";
import { adapterUser } from "../broker/permissions.js";
import { createPublisher } from "../delivery/publisher.js";
import { natsWorkbench } from "../testing/workbench.js";
import { inspectConsumer, inspectQueue, waitingBatches } from "./queue-state.js";

const bench = natsWorkbench();
const privacyHigh = { jetStream: "RAW", name: "privacy-high" };

test("the adapter's user sees how far a consumer is, and what lies in its stream", async () => {
  const adapter = await bench.connect(adapterUser);
  assert.deepEqual(await waitingBatches(adapter, "RAW"), new Map());
  assert.equal((await inspectQueue(adapter, "RAW")).oldestMs, 0);
  const publisher = createPublisher(await bench.connect("buffer"));
  for (const id of ["a", "b"])
    await publisher.publish({ subject: "raw.high.any.default.s", data: Buffer.from(id), id });
  const privacy = await bench.connect("privacy");
  const consumer = await privacy.js.consumers.get("RAW", "privacy-high");
  assert.equal((await inspectConsumer(adapter, privacyHigh)).pending, 2);
  const first = await consumer.next();
  const second = await consumer.next();
  const taken = await inspectConsumer(adapter, privacyHigh);
  assert.deepEqual([taken.pending, taken.ackPending, taken.deliveries, taken.floorSeq], [0, 2, 2, 0]);
  await first?.ackAck();
  const acked = await inspectConsumer(adapter, privacyHigh);
  assert.deepEqual([acked.pending, acked.ackPending, acked.deliveries, acked.floorSeq], [0, 1, 2, 1]);
  second?.nak();
  await eventually(async () => (await consumer.next()) !== null, { what: "the delivery comes again" });
  const again = await inspectConsumer(adapter, privacyHigh);
  assert.deepEqual([again.deliveries, again.redelivered], [3, 1]);
  assert.deepEqual(await waitingBatches(adapter, "RAW"), new Map([["raw.high.any.default.s", 1]]));
  const { messages, lastSeq, oldestMs } = await inspectQueue(adapter, "RAW");
  assert.deepEqual([messages, lastSeq], [1, 2]);
  assert.ok(oldestMs > 0 && oldestMs < 60_000, `${oldestMs} ms`);
});

test("a consumer that is missing is told apart from a broker that does not answer", async () => {
  const missing = inspectConsumer(bench.admin(), { jetStream: "RAW", name: "privacy-none" });
  await assert.rejects(missing, (error) => error instanceof CodedError && error.code === "not_found");
});
