import assert from "node:assert/strict";
import { test } from "node:test";
import { contentHash } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import { createLayout } from "../spool/layout.js";
import type { Manifest } from "../spool/part.js";
import { recoverSpools } from "../spool/recover.js";
import { createSpool, type Spool } from "../spool/spool.js";
import { createMemoryDisk, createRandom, type Fault, type MemoryDisk } from "@millrace/segments/testing";

const layout = createLayout({ root: "/store", tenant: "t", stream: "s", writer: "w1" });
const now = (): number => 1_700_000_000_000;

/** What the writer was told, against which the files are held. */
interface Model {
  sent: Set<string>;
  acked: Set<string>;
  /** Committed, then taken out because another writer has them. */
  discarded: Set<string>;
  /** Taken out, but the answer never came. */
  maybeDiscarded: Set<string>;
}

function createModel(): Model {
  return { sent: new Set(), acked: new Set(), discarded: new Set(), maybeDiscarded: new Set() };
}

const entriesPerRun = 14;
const rowsPerEntry = 3;

function rowText(row: number): string {
  return `row ${row} ${"x".repeat((row * 37) % 150)}`;
}

/**
 * Appends, commits, rolls, rolls back and discards in a fixed order; waits out a full disk as the service
 * would.
 */
async function work(disk: MemoryDisk, model: Model): Promise<void> {
  const recovery = await waitOut(() => recover(disk));
  for (const spool of recovery.spools) await roll(spool);
  let number = recovery.nextNumber;
  let spool: Spool | undefined;
  for (let step = 0; step < entriesPerRun; step += 1) {
    spool ??= await waitOut(() => createSpool({ disk, layout, now }, { number: number++, format: "lines" }));
    const open = spool;
    const from = model.sent.size;
    const rows = Array.from({ length: rowsPerEntry }, (_, index) => rowText(from + index));
    for (const row of rows) model.sent.add(row);
    const bytes = rows.map((row) => Buffer.from(`${row}\n`));
    const intervals = [{ from: from * 10, to: (from + rowsPerEntry) * 10 }];
    const deltas = Uint32Array.from(rows, () => 10);
    await waitOut(() =>
      open.append({ source: "a", intervals, messages: rowsPerEntry, deltas, bytes, keyed: "" }),
    );
    if (step % 5 === 3) await waitOut(() => open.rollback());
    if (step % 2 === 1) await commit(open, model);
    if (step === 7) await discardRow(open, model);
    if (step % 6 === 5) {
      await commit(open, model);
      await roll(open);
      spool = undefined;
    }
  }
  await spool?.close();
}

async function roll(spool: Spool): Promise<void> {
  if ((await waitOut(() => spool.seal())) !== undefined) await spool.publish();
}

async function commit(spool: Spool, model: Model): Promise<void> {
  for (const { intervals } of await waitOut(() => spool.commit())) {
    for (const { from, to } of intervals)
      for (let at = from; at < to; at += 10) model.acked.add(rowText(at / 10));
  }
}

/** Takes the first row that was acked in this spool's range out again. */
async function discardRow(spool: Spool, model: Model): Promise<void> {
  const row = rowText(18);
  const wasAcked = model.acked.delete(row);
  if (wasAcked) model.maybeDiscarded.add(row);
  await waitOut(() => spool.discard("a", [{ from: 180, to: 190 }]));
  model.discarded.add(row);
}

async function waitOut<T>(call: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await call();
    } catch (error) {
      const isFull = (error as { code?: unknown }).code === "resource_exhausted";
      const isRecoveryFull = (error as { code?: unknown }).code === "ENOSPC";
      if (tries > 3 || !(isFull || isRecoveryFull)) throw error;
    }
  }
}

function recover(disk: MemoryDisk): ReturnType<typeof recoverSpools> {
  return recoverSpools({ disk, layout, now, settledElsewhere: () => [] });
}

/** Rows of all visible parts, each part being whole and as its manifest says. */
function visibleRows(disk: MemoryDisk): string[] {
  const names = disk.list(layout.streamDir);
  const rows: string[] = [];
  for (const name of names.filter((each) => each.endsWith(".jsonl"))) {
    const manifestName = name.replace(".jsonl", ".manifest.json");
    assert.ok(names.includes(manifestName), "a visible part has a manifest");
    const manifest = JSON.parse(disk.contents(`${layout.streamDir}/${manifestName}`).toString()) as Manifest;
    const bytes = disk.contents(`${layout.streamDir}/${name}`);
    assert.equal(bytes.length, manifest.bytes);
    assert.equal(contentHash(bytes), manifest.blake3);
    const lines = bytes.toString().split("\n").slice(0, -1);
    assert.equal(lines.length, manifest.messages);
    const positions = manifest.sources.flatMap(({ intervals }) => intervals);
    assert.equal(
      positions.reduce((sum, [from, to]) => sum + (to - from), 0),
      10 * lines.length,
    );
    rows.push(...lines);
  }
  return rows;
}

async function checkAfterRecovery(disk: MemoryDisk, model: Model): Promise<void> {
  visibleRows(disk);
  const recovery = await recover(disk);
  assert.deepEqual(recovery.damaged, []);
  for (const spool of recovery.spools) await roll(spool);
  const rows = visibleRows(disk);
  const seen = new Set(rows);
  assert.equal(rows.length, seen.size, "no row is visible twice");
  for (const row of model.acked) assert.ok(seen.has(row), `an acked row is visible: ${row.slice(0, 8)}`);
  for (const row of seen) assert.ok(model.sent.has(row), "a visible row was sent like that");
  for (const row of model.discarded) assert.ok(!seen.has(row), "a discarded row is not visible");
  const left = disk.list(layout.spoolDir).filter((name) => layout.parse(name) !== undefined);
  assert.deepEqual(left, [], "nothing is left behind");
}

async function callsOf(run: (disk: MemoryDisk) => Promise<void>): Promise<number> {
  const disk = createMemoryDisk();
  await run(disk);
  return disk.calls();
}

/** Runs until the fault ends the work; whether it did. */
async function runBroken(
  disk: MemoryDisk,
  model: Model,
  at: { call: number; fault: Fault },
): Promise<boolean> {
  disk.breakAt(at.call, at.fault);
  try {
    await work(disk, model);
    return false;
  } catch (error) {
    if (at.fault === "EIO" && error instanceof CodedError) {
      assert.notEqual(error.code, "resource_exhausted");
    }
    return true;
  }
}

test("work on a whole disk stores every acked row once", async () => {
  const disk = createMemoryDisk();
  const model = createModel();
  await work(disk, model);
  assert.equal(model.acked.size, 26);
  await checkAfterRecovery(disk, model);
});

test("an error at any call loses no acked row and shows none twice", async () => {
  const total = await callsOf((disk) => work(disk, createModel()));
  for (const fault of ["EIO", "ENOSPC", "short"] as const) {
    for (let call = 1; call <= total; call += 1) {
      const disk = createMemoryDisk();
      const model = createModel();
      const hasFailed = await runBroken(disk, model, { call, fault });
      if (fault === "short") assert.ok(!hasFailed, `a short write at call ${call} is completed`);
      disk.restart();
      await checkAfterRecovery(disk, model);
    }
  }
});

test("a power cut at any call leaves every acked row in one visible or recoverable file", async () => {
  const total = await callsOf((disk) => work(disk, createModel()));
  for (let call = 1; call <= total; call += 1) {
    for (const seed of [1, 2, 3, 4]) {
      const disk = createMemoryDisk();
      const model = createModel();
      await runBroken(disk, model, { call, fault: "crash" });
      disk.powerCut(createRandom(seed * 1000 + call));
      await checkAfterRecovery(disk, model);
    }
  }
});

test("a power cut during recovery, and after a failed sync, loses nothing either", async () => {
  const total = await callsOf((disk) => work(disk, createModel()));
  for (let call = 1; call <= total; call += 3) {
    for (const fault of ["EIO", "crash"] as const) {
      for (let inRecovery = 1; inRecovery <= 40; inRecovery += 1) {
        const random = createRandom(call * 100 + inRecovery);
        const disk = createMemoryDisk();
        const model = createModel();
        await runBroken(disk, model, { call, fault });
        disk.powerCut(random);
        disk.breakAt(disk.calls() + inRecovery, "crash");
        await recover(disk).catch(() => undefined);
        disk.powerCut(random);
        await checkAfterRecovery(disk, model);
      }
    }
  }
});
