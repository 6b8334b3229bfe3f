import assert from "node:assert/strict";
import { test } from "node:test";
import { createMemoryDisk, type MemoryDisk } from "@millrace/segments/testing";
import { makeBatch } from "../faults/make-batch.js";
import { openStorageSink, type StorageSink } from "../storage-sink.js";

const source = "5".repeat(32);

function openSink(disk: MemoryDisk, writer: string): Promise<StorageSink> {
  return openStorageSink({
    root: "/store",
    tenant: "acme",
    stream: "orders",
    writer,
    format: "lines",
    loadSettled: async () => [],
    settledElsewhere: () => [],
    findingName: String,
    now: () => 1000,
    disk,
  });
}

function visible(disk: MemoryDisk): string[] {
  const names = disk.list("/store/acme/orders").filter((name) => name.endsWith(".jsonl"));
  return names.flatMap((name) =>
    disk.contents(`/store/acme/orders/${name}`).toString().split("\n").slice(0, -1),
  );
}

test("what another writer committed before it was killed is stored by nobody else", async () => {
  const disk = createMemoryDisk();
  const killed = await openSink(disk, "output-0");
  await killed.stage(makeBatch(["one", "two"]));
  await killed.commit();
  const again = await openSink(disk, "output-1");
  await again.heedOthers(source);
  const staged = await again.stage(makeBatch(["two", "three"], { positionFrom: 1 }));
  assert.deepEqual([staged.stored, staged.settled], [1, 1]);
  await again.commit();
  await again.rollAll();
  assert.deepEqual(visible(disk), ["three"]);
  await again.close();
  const back = await openSink(disk, "output-0");
  await back.rollAll();
  assert.deepEqual(visible(disk).sort(), ["one", "three", "two"]);
});

test("what another writer took out again, or staged only, is there for whoever comes next", async () => {
  const disk = createMemoryDisk();
  const other = await openSink(disk, "output-0");
  await other.stage(makeBatch(["one"]));
  await other.commit();
  await other.discard(source, [{ from: 0, to: 1 }]);
  await other.stage(makeBatch(["two"], { positionFrom: 1 }));
  const sink = await openSink(disk, "output-1");
  await sink.heedOthers(source);
  assert.equal((await sink.stage(makeBatch(["one", "two"]))).stored, 2);
});
