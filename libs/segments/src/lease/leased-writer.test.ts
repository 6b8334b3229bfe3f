import assert from "node:assert/strict";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { decodeBatch, idText, openBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { SegmentRange } from "@millrace/proto/batch";
import { createBodyReader } from "../body-reader.js";
import { type LeasingBodyStore, openLeasingBodyStore } from "../body-store.js";
import type { PlacedBatch } from "../placed-batch.js";
import { localLeases } from "../testing/local-leases.js";
import { createLeasedWriter, type LeasedWriter } from "./leased-writer.js";

const mib = 1024 * 1024;
const leaseMs = 10_000;
const subject = "raw.batch.any.t.s";

/** Owner and writer of one side, on real files, at a time that the test sets. */
async function workbench(t: TestContext, liveBytesMax = 8 * mib) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-leases-"));
  const dir = join(sideDir, "buffer-0");
  const clock = { ms: 0 };
  const left: string[] = [];
  const stores: LeasingBodyStore[] = [];
  const openOwner = async (epoch: number): Promise<LeasingBodyStore> => {
    const store = await openLeasingBodyStore({
      sideDir,
      side: "raw",
      owner: "buffer-0",
      node: "local",
      segmentBytes: mib,
      liveBytesMax,
      epoch,
      leaseMs,
      monotonic: () => clock.ms,
      onLeft: async (batches) => void left.push(...batches.map(({ id }) => id)),
    });
    stores.push(store);
    return store;
  };
  const owner = await openOwner(1);
  const writerFor = (store: LeasingBodyStore, monotonic = () => clock.ms): LeasedWriter =>
    createLeasedWriter({
      client: localLeases(store, { writer: "ingestion-0", segmentBytes: mib, leaseMs }),
      sideDir,
      node: "local",
      monotonic,
    });
  t.after(async () => {
    for (const store of stores) await store.close();
    rmSync(sideDir, { recursive: true, force: true });
  });
  const writers = { writer: writerFor(owner), stoppedWriter: writerFor(owner, () => 0) };
  return { sideDir, dir, clock, left, owner, openOwner, ...writers };
}

const batchOf = (from: number, letter = "x") => buildBatch({ texts: [letter.repeat(300_000)], from });
const idOf = (from: number): string => idText(batchOf(from).header.id);

function rangeOf(placed: PlacedBatch): SegmentRange {
  const { body } = decodeBatch(placed.bytes);
  return body?.$case === "range" ? body.value : assert.fail("the body lies in a segment");
}

/** What buffer does with an append: the body is taken over where it lies. */
function commit(store: LeasingBodyStore, placed: PlacedBatch): Promise<PlacedBatch> {
  const open = openBatch(decodeBatch(placed.bytes), new Uint8Array());
  return store.place({ ...open, leased: rangeOf(placed) }, subject);
}

const names = (dir: string): string[] => readdirSync(dir).sort();

test("what a writer commits can be read, and its segment is used again when all is freed", async (t) => {
  const { sideDir, dir, owner, writer, left } = await workbench(t);
  const reader = createBodyReader({ dirs: { raw: sideDir } });
  const placed: PlacedBatch[] = [];
  for (const from of [1, 2, 3]) {
    const committed = await commit(owner, await writer.place(batchOf(from)));
    writer.settled(committed.id);
    placed.push(committed);
    assert.equal((await reader.open(committed.bytes)).body.length, 300_000);
    assert.deepEqual([rangeOf(committed).leaseEpoch, rangeOf(committed).frameOffset], [0, 0]);
  }
  await writer.close();
  assert.equal(owner.leases.size(), 0);
  for (const { id } of placed) await owner.release(id);
  assert.equal(owner.liveBytes(), 0);
  assert.deepEqual(left, []);
  assert.ok(names(dir).every((name) => name.startsWith("free-")));
  await reader.close();
});

test("a commit under a lease that has ended is refused, and the batch goes under a new one", async (t) => {
  const { owner, writer, clock, left } = await workbench(t);
  const stale = await writer.place(batchOf(1));
  clock.ms += leaseMs;
  // Refused by time alone, before anybody ended it.
  await assert.rejects(commit(owner, stale), { code: "failed_precondition", field: "lease" });
  await owner.leases.endExpired();
  assert.deepEqual(left, [idOf(1)]);
  // Taken as one that was left, it is the owner's; offered again it is known.
  assert.equal(rangeOf(await commit(owner, stale)).segment, rangeOf(stale).segment);
  writer.leaseEnded(stale.id);
  const fresh = await writer.place(batchOf(1));
  assert.notEqual(rangeOf(fresh).segment, rangeOf(stale).segment);
  // The one that was left is known by its id: the second copy is not kept.
  assert.equal(rangeOf(await commit(owner, fresh)).segment, rangeOf(stale).segment);
});

test("a writer that was stopped and does not know how late it is commits nothing", async (t) => {
  const { owner, clock, stoppedWriter, left } = await workbench(t);
  await stoppedWriter.place(batchOf(1));
  clock.ms += leaseMs;
  await owner.leases.endExpired();
  // Written into the segment of the lease that it believes in.
  const late = await stoppedWriter.place(batchOf(2));
  await assert.rejects(commit(owner, late), { code: "failed_precondition", field: "lease" });
  assert.deepEqual(left, [idOf(1)]);
  stoppedWriter.leaseEnded(late.id);
  const again = await stoppedWriter.place(batchOf(2));
  assert.notEqual(rangeOf(again).segment, rangeOf(late).segment);
  assert.equal((await commit(owner, again)).id, late.id);
});

test("renewed by signs of life and by commits, a lease lasts", async (t) => {
  const { owner, writer, clock, left } = await workbench(t);
  for (let from = 1; from <= 3; from++) {
    clock.ms += leaseMs * 0.6;
    await writer.beat();
    await owner.leases.endExpired();
    const placed = await writer.place(batchOf(from));
    clock.ms += leaseMs * 0.6;
    await commit(owner, placed).catch(() => assert.fail(`batch ${from}, though renewed`));
    writer.settled(placed.id);
  }
  assert.deepEqual(left, []);
});

test("frames that were not committed when a lease ended are left, the others are not", async (t) => {
  const { owner, writer, clock, left } = await workbench(t);
  const committed = await commit(owner, await writer.place(batchOf(1)));
  await writer.place(batchOf(2));
  clock.ms += leaseMs;
  await owner.leases.endExpired();
  assert.deepEqual(left, [idOf(2)]);
  await owner.unpin(idOf(2), false);
  await owner.release(committed.id);
  assert.equal(owner.liveBytes(), 0);
});

test("who was stopped past his lease and wakes writes into a file that nobody uses again", async (t) => {
  const { dir, owner, writer, clock } = await workbench(t);
  const placed = await writer.place(batchOf(1));
  const path = join(dir, names(dir)[0] ?? "");
  const { ino } = statSync(path);
  const held = openSync(path, "r+");
  clock.ms += leaseMs;
  await owner.leases.endExpired();
  await owner.unpin(placed.id, false);
  assert.equal(owner.liveBytes(), 0);
  // The place of the next lease is another file, whose bytes the sleeper can't reach.
  const next = createdIn(dir, await owner.leases.grant("ingestion-1"));
  assert.notEqual(statSync(next).ino, ino);
  writeSync(held, Buffer.alloc(mib, 0xff), 0, mib, 0);
  closeSync(held);
  assert.deepEqual(names(dir), [next.slice(dir.length + 1)]);
});

const createdIn = (dir: string, { segment }: { segment: number }): string =>
  join(dir, `${String(segment).padStart(8, "0")}.seg`);

test("after its owner is started anew a lease is void, and every frame of it is left", async (t) => {
  const { openOwner, owner, writer } = await workbench(t);
  const committed = await writer.place(batchOf(1));
  await commit(owner, committed);
  const uncommitted = await writer.place(batchOf(2));
  const again = await openOwner(2);
  assert.deepEqual(again.left.map(({ id }) => id).sort(), [idOf(1), idOf(2)].sort());
  assert.deepEqual(again.recovered, []);
  assert.throws(() => again.leases.renew({ segment: rangeOf(uncommitted).segment, epoch: 1 }), {
    code: "failed_precondition",
  });
  // They are accepted by what the owner knows of them, whose lease is gone.
  for (const batch of again.left) {
    const { bytes, ...accepted } = await commit(again, batch);
    assert.equal(accepted.subject, subject);
    assert.deepEqual(decodeBatch(bytes), decodeBatch(batch.bytes));
  }
  // It has that very frame already, so the writer need not write it again.
  assert.equal(rangeOf(await commit(again, uncommitted)).segment, rangeOf(uncommitted).segment);
});

test("a new life of a writer ends the leases of the earlier one", async (t) => {
  const { owner, writer, left } = await workbench(t);
  await writer.place(batchOf(1));
  await owner.leases.endAllOf("ingestion-1");
  assert.equal(owner.leases.size(), 1);
  await owner.leases.endAllOf("ingestion-0");
  assert.deepEqual([owner.leases.size(), left], [0, [idOf(1)]]);
});

test("an answer that was lost is asked for again: the frame is counted once", async (t) => {
  const { owner, writer } = await workbench(t);
  const placed = await writer.place(batchOf(1));
  const first = await commit(owner, placed);
  assert.deepEqual(await commit(owner, await writer.place(batchOf(1))), first);
  writer.settled(placed.id);
  await writer.close();
  await owner.release(placed.id);
  assert.equal(owner.liveBytes(), 0);
});

test("a batch that could not be published is committed again without being written again", async (t) => {
  const { owner, writer, openOwner } = await workbench(t);
  const placed = await writer.place(batchOf(1));
  const first = await commit(owner, placed);
  // The stream was full: nothing refers to the body.
  await owner.release(placed.id);
  const again = await commit(owner, await writer.place(batchOf(1)));
  assert.deepEqual(again, first);
  const next = await openOwner(2);
  assert.deepEqual(
    next.left.map(({ id }) => id),
    [placed.id],
  );
});

test("one bound covers the owner and all writers", async (t) => {
  const { owner } = await workbench(t, 3 * mib);
  await owner.leases.grant("ingestion-0");
  await owner.leases.grant("ingestion-1");
  await owner.place(batchOf(1), subject);
  await assert.rejects(owner.leases.grant("ingestion-0"), { code: "resource_exhausted" });
  assert.equal(owner.liveBytes(), 3 * mib);
  await owner.leases.endAllOf("ingestion-1");
  await owner.leases.grant("ingestion-0");
});

test("a commit of what is not there is refused", async (t) => {
  const { owner, writer } = await workbench(t);
  const placed = await writer.place(batchOf(1));
  const open = openBatch(decodeBatch(placed.bytes), new Uint8Array());
  const range = rangeOf(placed);
  for (const wrong of [
    { frameOffset: range.frameOffset + 8 },
    { offset: range.offset + 8 },
    { length: range.length - 1 },
    { crc32: range.crc32 ^ 1 },
  ]) {
    await assert.rejects(owner.place({ ...open, leased: { ...range, ...wrong } }, subject), {
      code: "invalid_argument",
    });
  }
});

test("a segment that nobody writes to is given back", async (t) => {
  const { owner, writer, clock } = await workbench(t);
  const placed = await writer.place(batchOf(1));
  await commit(owner, placed);
  writer.settled(placed.id);
  for (let second = 0; second < 35; second++) {
    clock.ms += 1_000;
    await writer.beat();
    await owner.leases.endExpired();
  }
  assert.equal(owner.leases.size(), 0);
  await owner.release(placed.id);
  assert.equal(owner.liveBytes(), 0);
});

test("a body that was left is kept where its writer's own offer was quicker", async (t) => {
  const { sideDir, owner, writer, clock, left } = await workbench(t);
  const stale = await writer.place(batchOf(1));
  clock.ms += leaseMs;
  await owner.leases.endExpired();
  assert.deepEqual(left, [idOf(1)]);
  // While it waits to be accepted, a message is made that refers to it.
  writer.leaseEnded(stale.id);
  const placed = await commit(owner, await writer.place(batchOf(1)));
  // Known by then, and pinned once more for the next try.
  owner.pin(stale.id);
  await owner.discard(stale.id, rangeOf(stale));
  await owner.unpin(stale.id, false);
  const reader = createBodyReader({ dirs: { raw: sideDir } });
  assert.equal((await reader.open(placed.bytes)).body.length, 300_000);
  await reader.close();
  await writer.close();
});
