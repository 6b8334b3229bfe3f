import assert from "node:assert/strict";
import { link, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { CodedError } from "@millrace/errors";
import { contentHash } from "@millrace/files";
import { createMemoryDisk, createRandom, type Fault, type MemoryDisk } from "@millrace/segments/testing";
import { makeBatch } from "./faults/make-batch.js";
import { type Disk, nodeDisk } from "./spool/disk.js";
import type { Manifest } from "./spool/part.js";
import { openStorageSink, type StorageSink } from "./storage-sink.js";

const directory = "/store/acme/orders";

function openSink(disk: Disk, root = "/store"): Promise<StorageSink> {
  return openStorageSink({
    root,
    tenant: "acme",
    stream: "orders",
    writer: "w1",
    format: "lines",
    loadSettled: async () => [],
    settledElsewhere: () => [],
    findingName: String,
    now: () => 1000,
    rollBytes: 20,
    retainBytes: 45,
    disk,
  });
}

const rowText = (row: number): string => `row ${row} ${"x".repeat((row * 7) % 12)}`;

/** Stores rows one by one, each a commit; `acked` counts those that were told to be stored. */
async function storeRows(sink: StorageSink, from: number, to: number, acked: { to: number }): Promise<void> {
  for (let row = from; row < to; row++) {
    await sink.stage(makeBatch([rowText(row)], { positionFrom: row }));
    await sink.commit();
    acked.to = row + 1;
    await sink.rollIfDue();
  }
}

test("the oldest parts are taken back and their files written anew", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "millrace-retained-"));
  t.after(() => rm(root, { recursive: true }));
  const dir = join(root, "acme", "orders");
  const sink = await openSink(nodeDisk, root);
  const inodes = new Set<number>();
  for (let row = 0; row < 60; row++) {
    await storeRows(sink, row, row + 1, { to: 0 });
    for (const name of await partNames(dir)) inodes.add((await stat(join(dir, name))).ino);
  }
  const names = await partNames(dir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(dir, name))).size));
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) <= 45);
  assert.ok(inodes.size <= 6, `${inodes.size} files for all parts`);
  for (const name of names) {
    const manifest = JSON.parse(
      await readFile(join(dir, name.replace(".jsonl", ".manifest.json")), "utf8"),
    ) as Manifest;
    assert.equal(contentHash(await readFile(join(dir, name))), manifest.blake3);
  }
  assert.equal((await readdir(dir)).filter((name) => name.endsWith(".json")).length, names.length);
  await sink.close();
});

test("a part that has a second name keeps its bytes", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "millrace-retained-"));
  t.after(() => rm(root, { recursive: true }));
  const dir = join(root, "acme", "orders");
  const sink = await openSink(nodeDisk, root);
  const acked = { to: 0 };
  while ((await partNames(dir)).length === 0) await storeRows(sink, acked.to, acked.to + 1, acked);
  const [first = ""] = await partNames(dir);
  const before = await readFile(join(dir, first));
  await link(join(dir, first), join(root, "copy"));
  await storeRows(sink, acked.to, 60, acked);
  assert.ok(!(await partNames(dir)).includes(first));
  assert.deepEqual(await readFile(join(root, "copy")), before);
  await sink.close();
});

test("a file that waits to be written anew and has a second name is left to whoever holds it", async (t) => {
  const root = await mkdtemp(join(tmpdir(), "millrace-retained-"));
  t.after(() => rm(root, { recursive: true }));
  const dir = join(root, "acme", "orders");
  const before = await openSink(nodeDisk, root);
  await storeRows(before, 0, 60, { to: 0 });
  await before.close();
  const freeDir = join(dir, ".spool", "free");
  const held = await readdir(freeDir);
  assert.ok(held.length > 0);
  const bytes = new Map<string, Buffer>();
  for (const name of held) {
    await link(join(freeDir, name), join(root, name));
    bytes.set(name, await readFile(join(root, name)));
  }
  const after = await openSink(nodeDisk, root);
  await storeRows(after, 60, 120, { to: 0 });
  for (const [name, was] of bytes) assert.deepEqual(await readFile(join(root, name)), was);
  await after.close();
});

for (const at of ["before", "after"] as const) {
  test(`a disk that is full ${at} a free file is renamed leaves it free`, async () => {
    const memory = createMemoryDisk();
    const free = () => memory.list(`${directory}/.spool/free`);
    const full = { is: false };
    const sink = await openSink(fullInBegin(memory, at, full));
    let row = 0;
    for (; free().length === 0; row++) await storeRows(sink, row, row + 1, { to: 0 });
    full.is = true;
    const refused = async (): Promise<boolean> => {
      const code = await storeRows(sink, row, row + 1, { to: 0 }).catch((error: CodedError) => error.code);
      return code === "resource_exhausted";
    };
    while (!(await refused())) row++;
    const left = free();
    assert.ok(left.length > 0);
    full.is = false;
    await storeRows(sink, row, row + 40, { to: 0 });
    // Their names are never given again.
    for (const name of left) assert.ok(!free().includes(name), `${name} is used by a later spool`);
    await sink.close();
  });
}

/** A disk without room for the journal of a new spool, or for its directory once a free file is in it. */
function fullInBegin(memory: MemoryDisk, at: "before" | "after", full: { is: boolean }): Disk {
  let isRenamed = false;
  const refuse = (): never => {
    throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
  };
  return {
    ...memory,
    open: (path, mode) => {
      const isJournal = mode === "create" && /\.spool\/[^/]+\.journal$/.test(path);
      return full.is && at === "before" && isJournal ? refuse() : memory.open(path, mode);
    },
    rename: async (from, to) => {
      await memory.rename(from, to);
      isRenamed = full.is && from.endsWith(".free");
    },
    fsyncDir: async (path) => {
      if (full.is && at === "after" && isRenamed) refuse();
      await memory.fsyncDir(path);
    },
  };
}

/** Rows that can be read: those of visible parts, each whole where a manifest vouches for it. */
function visibleRows(disk: MemoryDisk): string[] {
  const names = disk.list(directory);
  return names
    .filter((name) => name.endsWith(".jsonl"))
    .flatMap((name) => {
      const bytes = disk.contents(`${directory}/${name}`);
      const manifestName = name.replace(".jsonl", ".manifest.json");
      if (names.includes(manifestName)) {
        const text = disk.contents(`${directory}/${manifestName}`).toString();
        const { blake3 } = JSON.parse(text) as Manifest;
        assert.equal(contentHash(bytes), blake3);
      }
      return bytes.toString().split("\n").slice(0, -1);
    });
}

for (const fault of ["crash", "EIO", "ENOSPC", "short"] satisfies Fault[]) {
  for (const cut of [false, true]) {
    const broken = `${fault} at each call${cut ? ", power cut" : ""}`;
    test(`no stored row is missing behind the oldest part: ${broken}`, async () => {
      const total = 14;
      for (let call = 1; ; call++) {
        const disk = createMemoryDisk();
        const acked = { to: 0 };
        disk.breakAt(call, fault);
        try {
          const sink = await openSink(disk);
          await storeRows(sink, 0, total, acked);
          await sink.close();
        } catch {
          // What was acked before stays acked.
        }
        const isReached = disk.calls() >= call;
        if (cut) disk.powerCut(createRandom(call));
        else disk.restart();
        const sink = await openSink(disk);
        await storeRows(sink, total, total + 4, { to: 0 });
        await sink.close();
        const rows = visibleRows(disk);
        const numbers = rows.map((row) => Number(row.split(" ")[1]));
        for (const [at, row] of rows.entries()) assert.equal(row, rowText(numbers[at] as number));
        const oldest = Math.min(...numbers);
        const newest = Math.max(...numbers.filter((number) => number < total));
        for (let row = oldest; row < Math.min(acked.to, newest); row++) {
          assert.ok(numbers.includes(row), `row ${row} after a break at call ${call}: ${numbers.join(" ")}`);
        }
        assert.equal(new Set(numbers).size, numbers.length);
        if (!isReached) return;
      }
    });
  }
}

async function partNames(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch(() => []);
  return names.filter((name) => name.endsWith(".jsonl"));
}
