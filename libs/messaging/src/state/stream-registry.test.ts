import assert from "node:assert/strict";
import { test } from "node:test";
import { Source } from "@millrace/proto/source";
import { Stream } from "@millrace/proto/stream";
import { eventually } from "@millrace/runtime/testing";
import { natsWorkbench } from "../testing/workbench.js";
import { createStreamRegistry, createStreamStore, revisionForNew } from "./stream-registry.js";

const bench = natsWorkbench();
const stop = new AbortController().signal;
const tenant = "default";
const stream = (name: string): Stream => Stream.fromPartial({ name });

test("a registry tells creation, change and deletion as they happen, to every reader", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  const registry = await createStreamRegistry(await bench.connect("privacy"));
  const told: [string, boolean][] = [];
  registry.onStream(({ name, stream: now }) => void told.push([name, now !== undefined]));
  await registry.start?.();
  await store.put(tenant, stream("live"), 0);
  await eventually(() => told.length === 1, { what: "the creation is told" });
  const held = await store.get(tenant, "live");
  await store.put(tenant, stream("live"), held?.revision ?? 0);
  await store.remove(tenant, "live");
  await eventually(() => told.length >= 2 && told.at(-1)?.[1] === false, { what: "the deletion is told" });
  assert.deepEqual(registry.list(tenant), []);
  assert.equal(await registry.find(tenant, "live"), undefined);
  await registry.stop?.(stop);
});

test("a stream is found before the watch has told of it, and what is not there is not", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  const registry = await createStreamRegistry(await bench.connect("buffer"));
  await store.put(tenant, stream("early"), 0);
  assert.equal((await registry.find(tenant, "early"))?.name, "early");
  assert.equal(await registry.find(tenant, "never"), undefined);
});

test("a registry that has started knows all that was stored before", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  await Promise.all(Array.from({ length: 50 }, (_, n) => store.put(tenant, stream(`many-${n}`), 0)));
  const registry = await createStreamRegistry(await bench.connect("output"));
  await registry.start?.();
  assert.ok(registry.list(tenant).length >= 50);
  await registry.stop?.(stop);
});

test("a write over another's is aborted, and a deleted stream can be created again", async () => {
  const broker = await bench.connect("gateway");
  const store = await createStreamStore(broker);
  await store.put(tenant, stream("cas"), 0);
  await assert.rejects(store.put(tenant, stream("cas"), 0), { code: "aborted" });
  await store.remove(tenant, "cas");
  assert.equal(await store.get(tenant, "cas"), undefined);
  await store.put(tenant, stream("cas"), await revisionForNew(broker, tenant, "cas"));
});

test("sources are told with their stream, and gone when removed", async () => {
  const store = await createStreamStore(await bench.connect("gateway"));
  const registry = await createStreamRegistry(await bench.connect("ingestion"));
  const told: (string | undefined)[] = [];
  registry.onSource(({ source }) => void told.push(source?.id));
  await registry.start?.();
  await store.putSource(tenant, Source.fromPartial({ stream: "s", id: "f1" }));
  await eventually(() => registry.sources(tenant, "s").length === 1, { what: "the source is told" });
  await store.removeSource(tenant, "s", "f1");
  await eventually(() => registry.sources(tenant, "s").length === 0, { what: "the removal is told" });
  assert.deepEqual(told, ["f1", undefined]);
  await registry.stop?.(stop);
});

test("only the gateway may write the configuration", async () => {
  const store = await createStreamStore(await bench.connect("privacy"));
  await assert.rejects(store.put(tenant, stream("forbidden"), 0));
  assert.equal(await (await createStreamRegistry(bench.admin())).find(tenant, "forbidden"), undefined);
});
