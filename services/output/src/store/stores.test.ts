import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createLedger, createStreamRegistry, createStreamStore, type StreamStore } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { StorageFormat, Stream } from "@millrace/proto/stream";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { makeBatch } from "../storage/faults/make-batch.js";
import { createStores, type Stores } from "./stores.js";

const bench = natsWorkbench();
const hard = new AbortController().signal;
let root: string;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "stores-"));
});
after(() => rm(root, { recursive: true, force: true }));

const lines = StorageFormat.STORAGE_FORMAT_LINES;
const records = StorageFormat.STORAGE_FORMAT_RECORDS;
const withStorage = (name: string, format: StorageFormat | undefined, rollBytes = 1): Stream =>
  Stream.fromPartial({
    name,
    createdMs: 1,
    outputs: format === undefined ? { results: {} } : { storage: { format, rollBytes } },
  });

async function setUp(
  commitIntervalMs = 1,
): Promise<{ stores: Stores; config: StreamStore; stop(): Promise<void> }> {
  const runtime = testRuntime();
  const output = await bench.connect("output");
  const ledger = await createLedger(output, "store", runtime);
  const registry = await createStreamRegistry(output);
  const config = { root, commitIntervalMs, commitBytes: 16 * 1024 * 1024 };
  const stores = createStores({
    config,
    instance: "0",
    ledger,
    registry,
    runtime,
    stillTrue: () => undefined,
  });
  const parts = [ledger, registry, stores];
  for (const part of parts) await part.start?.();
  const stop = async (): Promise<void> => {
    for (const part of parts.toReversed()) await part.stop?.(hard);
  };
  return { stores, config: await createStreamStore(await bench.connect("gateway")), stop };
}

const batchOf = (stream: string, text: string, positionFrom: number) => {
  const batch = makeBatch([text], { positionFrom });
  return { ...batch, header: { ...batch.header, tenant: "default", stream } };
};

async function visible(stream: string): Promise<string[]> {
  const dir = join(root, "default", stream);
  const names = (await readdir(dir)).filter((name) => name.endsWith(".jsonl")).sort();
  return Promise.all(names.map((name) => readFile(join(dir, name), "utf8")));
}

test("changed settings hold from the next batch on, and what was stored before stays", async () => {
  const { stores, stop } = await setUp();
  await stores.store(batchOf("changed", "one", 0), withStorage("changed", lines));
  await stores.store(batchOf("changed", "two", 1), withStorage("changed", records));
  const parts = await eventually(
    async () => {
      const texts = await visible("changed");
      return texts.length === 2 ? texts : undefined;
    },
    { what: "two parts" },
  );
  assert.equal(parts[0], "one\n");
  assert.equal(JSON.parse(parts[1] ?? "").text, "two");
  await stop();
});

test("a batch in hand is stored though storage is taken away, and so are later ones", async () => {
  const { stores, config, stop } = await setUp(50);
  const stream = withStorage("taken", lines, 1_000_000);
  await config.put("default", stream, 0);
  const inHand = [0, 1, 2].map((at) => stores.store(batchOf("taken", `line ${at}`, at), stream));
  const revision = (await config.get("default", "taken"))?.revision ?? 0;
  await config.put("default", withStorage("taken", undefined), revision);
  assert.deepEqual(await Promise.all(inHand), [[], [], []]);
  await eventually(async () => (await visible("taken")).join("") === "line 0\nline 1\nline 2\n", {
    what: "what was stored is seen though no age or size made it due",
  });
  await stores.store(batchOf("taken", "line 3", 3), withStorage("taken", lines));
  await eventually(async () => (await visible("taken")).join("") === "line 0\nline 1\nline 2\nline 3\n", {
    what: "all lines",
  });
  await stop();
});
