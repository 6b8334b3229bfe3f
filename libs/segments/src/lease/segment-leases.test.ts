import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { decodeBatch, idText, openBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { SegmentRange } from "@millrace/proto/batch";
import { openLeasingBodyStore } from "../body-store.js";
import type { PlacedBatch } from "../placed-batch.js";
import { localLeases } from "../testing/local-leases.js";
import { createMemoryDisk } from "../testing/memory-disk.js";
import { createLeasedWriter } from "./leased-writer.js";

const mib = 1024 * 1024;
const leaseMs = 10_000;
const subject = "raw.batch.any.t.s";

/** Owner and two writers, on a disk that breaks where it is told to. */
async function workbench(t: TestContext) {
  const disk = createMemoryDisk();
  const clock = { ms: 0 };
  const left: string[] = [];
  const broken: string[] = [];
  const damaged: number[] = [];
  const owner = await openLeasingBodyStore({
    sideDir: "/raw",
    side: "raw",
    owner: "buffer-0",
    node: "local",
    segmentBytes: mib,
    liveBytesMax: 8 * mib,
    epoch: 1,
    leaseMs,
    monotonic: () => clock.ms,
    onLeft: (batches) => void left.push(...batches.map(({ id }) => id)),
    onDamaged: (count) => damaged.push(count),
    onBroken: ({ code }) => broken.push(code),
    disk,
  });
  const [first, second] = ["ingestion-0", "ingestion-1"].map((name) =>
    createLeasedWriter({
      client: localLeases(owner, { writer: name, segmentBytes: mib, leaseMs }),
      sideDir: "/raw",
      node: "local",
      monotonic: () => clock.ms,
      disk,
    }),
  );
  if (first === undefined || second === undefined) assert.fail();
  t.after(() => owner.close());
  /** The `call`-th next call of the disk fails: an end syncs first, and reads the head of the file then. */
  const breakNext = (call: number): void => disk.breakAt(disk.calls() + call, "EIO");
  return { disk, clock, left, broken, damaged, owner, first, second, breakNext };
}

const batchOf = (from: number) => buildBatch({ texts: ["x".repeat(300_000)], from });
const idOf = (from: number): string => idText(batchOf(from).header.id);

function rangeOf(placed: PlacedBatch): SegmentRange {
  const { body } = decodeBatch(placed.bytes);
  return body?.$case === "range" ? body.value : assert.fail("the body lies in a segment");
}

test("an end that fails is told and tried again, and keeps no other lease", async (t) => {
  const { clock, left, broken, damaged, owner, first, second, breakNext } = await workbench(t);
  await first.place(batchOf(1));
  await second.place(batchOf(2));
  clock.ms += leaseMs;
  breakNext(2);
  await assert.rejects(owner.leases.endExpired(), /EIO/);
  assert.deepEqual(left, [idOf(2)], "the other one is ended");
  const [failure] = owner.leases.endsFailed();
  assert.match(failure?.message ?? "", /lease of segment 1.*EIO/);
  assert.equal(owner.leases.size(), 0);
  assert.equal(owner.liveBytes(), 2 * mib);
  await owner.leases.endExpired();
  assert.deepEqual([left, owner.leases.endsFailed()], [[idOf(2), idOf(1)], []]);
  await owner.leases.endExpired();
  assert.equal(left.length, 2, "ended once");
  assert.deepEqual([broken, damaged], [[], [0, 0]]);
  for (const id of left) await owner.unpin(id, false);
  assert.equal(owner.liveBytes(), 0);
});

test("nothing is committed under a lease whose end failed", async (t) => {
  const { left, owner, first, breakNext } = await workbench(t);
  const placed = await first.place(batchOf(1));
  breakNext(2);
  await assert.rejects(owner.leases.endAllOf("ingestion-0"), /EIO/);
  const open = openBatch(decodeBatch(placed.bytes), new Uint8Array());
  const late = owner.place({ ...open, leased: rangeOf(placed) }, subject);
  await assert.rejects(late, { code: "failed_precondition", field: "lease" });
  assert.deepEqual(left, []);
  // Asked again, as its writer does: the answer waits until what he left is known.
  await owner.leases.endAllOf("ingestion-0");
  assert.deepEqual(left, [idOf(1)]);
});

test("an end that its own writer asked for is tried again, and its file used again", async (t) => {
  const { disk, owner, first, breakNext } = await workbench(t);
  const placed = await first.place(batchOf(1));
  const { segment } = rangeOf(placed);
  breakNext(2);
  // More than was committed: the segment is read through.
  await assert.rejects(owner.leases.end({ segment, epoch: 1 }, 72), /EIO/);
  await owner.leases.endExpired();
  await owner.unpin(placed.id, false);
  assert.ok(disk.list("/raw/buffer-0").includes("free-1.seg"));
});

test("a sync that fails at the end of a lease is not tried again: the disk is in doubt", async (t) => {
  const { left, broken, owner, first, breakNext } = await workbench(t);
  await first.place(batchOf(1));
  breakNext(1);
  await assert.rejects(owner.leases.endAllOf("ingestion-0"), { code: "unavailable" });
  assert.deepEqual([left, broken], [[], ["unavailable"]]);
  await assert.rejects(owner.place(batchOf(2), subject), { code: "unavailable" });
});

test("ends that are asked for at once are one", async (t) => {
  const { clock, left, owner, first } = await workbench(t);
  await first.place(batchOf(1));
  clock.ms += leaseMs;
  await Promise.all([
    owner.leases.endExpired(),
    owner.leases.endAllOf("ingestion-0"),
    owner.leases.endExpired(),
  ]);
  assert.deepEqual(left, [idOf(1)]);
});

test("a segment that can't be made breaks the log, as at any append", async (t) => {
  const { owner, broken, breakNext } = await workbench(t);
  breakNext(1);
  await assert.rejects(owner.leases.grant("ingestion-0"), { code: "unavailable" });
  assert.deepEqual(broken, ["unavailable"]);
});

test("a disk without room for another segment breaks nothing", async (t) => {
  const { disk, owner, broken } = await workbench(t);
  for (let call = 1; call <= 5; call++) {
    disk.breakAt(disk.calls() + call, "ENOSPC");
    const full = await owner.leases.grant("ingestion-0").catch((error: { code: string }) => error);
    if ("code" in full && full.code !== "unavailable") assert.equal(full.code, "resource_exhausted");
    disk.restart();
  }
  assert.deepEqual(broken, []);
});
