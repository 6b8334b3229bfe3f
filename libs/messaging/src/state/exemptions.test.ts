import assert from "node:assert/strict";
import { test } from "node:test";
import { Stream } from "@millrace/proto/stream";
import { createFakeClock } from "@millrace/runtime/testing";
import { natsWorkbench } from "../testing/workbench.js";
import { createExemptions, exemptionEndMs } from "./exemptions.js";
import { createStreamStore } from "./stream-registry.js";

const bench = natsWorkbench();
const tenant = "default";

function stream(name: string, exempt: boolean, createdMs = 1): Stream {
  return Stream.fromPartial({ name, createdMs, privacy: { exempt } });
}

test("who still holds an ended exemption for true learns of it before its end is told", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  const clock = createFakeClock();
  const exemptions = await createExemptions(await bench.connect("buffer"), clock);
  const held = stream("ended", true);
  await store.put(tenant, held, 0);
  assert.equal(await exemptions.isExempt(tenant, held), true);
  const { revision = 0 } = (await store.get(tenant, "ended")) ?? {};
  await store.put(tenant, stream("ended", false), revision);
  await clock.advance(exemptionEndMs / 2 - 1);
  assert.equal(await exemptions.isExempt(tenant, held), true, "the answer is fresh enough");
  await clock.advance(1);
  assert.equal(await exemptions.isExempt(tenant, held), false);
});

test("a stream that is not exempt, is gone, or was made anew is not exempt", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  const exemptions = await createExemptions(await bench.connect("ingestion"), createFakeClock());
  await store.put(tenant, stream("never", false), 0);
  assert.equal(await exemptions.isExempt(tenant, stream("never", false)), false);
  assert.equal(await exemptions.isExempt(tenant, stream("never", true)), false, "the bucket decides");
  assert.equal(await exemptions.isExempt(tenant, stream("gone", true)), false);
  await store.put(tenant, stream("anew", true, 2), 0);
  assert.equal(await exemptions.isExempt(tenant, stream("anew", true, 1)), false);
  assert.equal(await exemptions.isExempt(tenant, stream("anew", true, 2)), true);
});

test("without an answer nobody goes on as if a stream were exempt", async () => {
  const broker = await bench.connect("output");
  const exemptions = await createExemptions(broker, createFakeClock());
  await broker.connection.close();
  await assert.rejects(exemptions.isExempt(tenant, stream("dark", true)), { code: "unavailable" });
});
