import assert from "node:assert/strict";
import { test } from "node:test";
import { contentHash, isSystemError } from "@millrace/files";
import { CodedError } from "@millrace/errors";
import { eventually } from "@millrace/runtime/testing";
import { createMemoryDisk, type MemoryDisk } from "@millrace/segments/testing";
import { makeBatch } from "./faults/make-batch.js";
import { openStorageSink, type StorageSink, type StorageSinkOptions } from "./storage-sink.js";

const directory = "/store/acme/orders";
const source = "5".repeat(32);

function openSink(disk: MemoryDisk, options: Partial<StorageSinkOptions> = {}): Promise<StorageSink> {
  return openStorageSink({
    root: "/store",
    tenant: "acme",
    stream: "orders",
    writer: "w1",
    format: "lines",
    loadSettled: async () => [],
    settledElsewhere: () => [],
    findingName: String,
    now: () => 1000,
    disk,
    ...options,
  });
}

function visible(disk: MemoryDisk): string {
  const names = disk.list(directory).filter((name) => name.endsWith(".jsonl"));
  return names.map((name) => disk.contents(`${directory}/${name}`).toString()).join("");
}

function begun(disk: MemoryDisk): string[] {
  return disk.list(`${directory}/.spool`).filter((name) => name.endsWith(".data"));
}

/** Its calls are over then, and others can be counted. */
async function nextIsBegun(disk: MemoryDisk): Promise<void> {
  await eventually(() => begun(disk).length === 2, { what: "the next spool" });
}

test("a part becomes visible at its size, with a manifest that describes it", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 8 });
  await sink.stage(makeBatch(["one"]));
  await sink.commit();
  assert.deepEqual(await sink.rollIfDue(), []);
  await sink.stage(makeBatch(["two"], { positionFrom: 1 }));
  assert.deepEqual(await sink.commit(), [{ source, intervals: [{ from: 1, to: 2 }], messages: 1 }]);
  assert.equal(visible(disk), "");
  const [part] = await sink.rollIfDue();
  assert.equal(visible(disk), "one\ntwo\n");
  assert.deepEqual(JSON.parse(disk.contents(`${directory}/part-w1-00000000.manifest.json`).toString()), {
    file: "part-w1-00000000.jsonl",
    messages: 2,
    bytes: 8,
    blake3: contentHash(Buffer.from("one\ntwo\n")),
    format: "lines",
    sources: [{ source, intervals: [[0, 2]], messages: 2 }],
    opened: "1970-01-01T00:00:01.000Z",
    closed: "1970-01-01T00:00:01.000Z",
  });
  assert.equal(part?.manifest.messages, 2);
});

test("a part becomes visible at its age, and an empty one never does", async () => {
  const disk = createMemoryDisk();
  let nowMs = 0;
  const sink = await openSink(disk, { now: () => nowMs });
  nowMs = 60_000;
  assert.deepEqual(await sink.rollIfDue(), []);
  await sink.stage(makeBatch(["one"]));
  await sink.commit();
  nowMs += 9_999;
  assert.equal((await sink.rollIfDue()).length, 0);
  nowMs += 1;
  assert.equal((await sink.rollIfDue()).length, 1);
});

test("rows staged while a part waits to be published go into the next one", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 4 });
  await sink.stage(makeBatch(["one"]));
  const committing = sink.commit();
  await sink.stage(makeBatch(["two"], { positionFrom: 1 }));
  await committing;
  await sink.rollIfDue();
  assert.equal(visible(disk), "one\n");
  await sink.commit();
  await sink.rollIfDue();
  assert.equal(visible(disk), "one\ntwo\n");
});

test("what is committed while parts are published is in none of them", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 4 });
  for (const [at, text] of ["one", "two"].entries())
    await sink.stage(makeBatch([text], { positionFrom: at }));
  await sink.commit();
  const rolling = sink.rollIfDue();
  await sink.stage(makeBatch(["new"], { positionFrom: 2 }));
  await sink.commit();
  assert.equal((await rolling).length, 2);
  assert.equal(visible(disk), "one\ntwo\n");
  // The ledger was told of it by now.
  assert.equal((await sink.rollIfDue()).length, 1);
  assert.equal(visible(disk), "one\ntwo\nnew\n");
});

test("a part ends with the batch that fills it, however many are staged at once", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 8 });
  await Promise.all(
    Array.from({ length: 7 }, (_, at) => sink.stage(makeBatch([`t-${at}`], { positionFrom: at }))),
  );
  await sink.commit();
  const parts = await sink.rollIfDue();
  assert.deepEqual(
    parts.map(({ seal }) => seal.bytes),
    [8, 8, 8],
  );
  await sink.rollAll();
  assert.equal(visible(disk), Array.from({ length: 7 }, (_, at) => `t-${at}\n`).join(""));
});

test("the next part is begun ahead; one that nobody takes leaves nothing behind", async () => {
  const disk = createMemoryDisk();
  let nowMs = 0;
  const sink = await openSink(disk, { rollBytes: 8, now: () => nowMs });
  await sink.stage(makeBatch(["one"]));
  await nextIsBegun(disk);
  await sink.stage(makeBatch(["two"], { positionFrom: 1 }));
  nowMs = 60_000;
  await sink.stage(makeBatch(["six"], { positionFrom: 2 }));
  await sink.commit();
  const parts = await sink.rollAll();
  assert.equal(visible(disk), "one\ntwo\nsix\n");
  // What was begun a minute before its first row would have been due at once.
  assert.equal(parts.at(-1)?.manifest.opened, "1970-01-01T00:01:00.000Z");
  assert.deepEqual(begun(disk), []);
  await sink.close();
});

test("rows that the ledger, this sink or a client's id shows to be stored are left out", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 1, loadSettled: async () => [{ from: 0, to: 1 }] });
  const first = await sink.stage(makeBatch(["a", "b"]));
  assert.deepEqual([first.stored, first.settled], [1, 1]);
  const again = await sink.stage(makeBatch(["a", "b", "c"], { ids: [0, 0, 9] }));
  assert.deepEqual([again.stored, again.settled], [1, 2]);
  const keyed = await sink.stage(makeBatch(["c"], { positionFrom: 70, ids: [9] }));
  assert.deepEqual(keyed.repeated, [0]);
  assert.deepEqual(keyed.repeatedIntervals, [{ from: 70, to: 71 }]);
  await sink.commit();
  await sink.rollIfDue();
  assert.equal(visible(disk), "b\nc\n");
});

test("what is rolled back can be staged again", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 1 });
  await sink.stage(makeBatch(["a"], { ids: [4] }));
  await sink.rollback();
  assert.equal(sink.pendingBytes(), 0);
  assert.equal((await sink.stage(makeBatch(["a"], { ids: [4] }))).stored, 1);
  await sink.commit();
  await sink.rollIfDue();
  assert.equal(visible(disk), "a\n");
});

test("a sink goes on where it was killed, with its positions and its clients' ids", async () => {
  const disk = createMemoryDisk();
  const before = await openSink(disk);
  await before.stage(makeBatch(["a", "b"], { positionDeltas: [100, 300], ids: [0, 3] }));
  await before.commit();
  await before.stage(makeBatch(["lost"], { positionFrom: 400 }));
  disk.powerCut(() => 0);
  const after = await openSink(disk, { rollBytes: 1 });
  assert.deepEqual(after.recovery.entries, [{ source, intervals: [{ from: 0, to: 400 }], messages: 2 }]);
  assert.equal((await after.stage(makeBatch(["a", "b"], { positionDeltas: [100, 300] }))).settled, 2);
  assert.deepEqual((await after.stage(makeBatch(["b"], { positionFrom: 900, ids: [3] }))).repeated, [0]);
  await after.stage(makeBatch(["c"], { positionFrom: 400 }));
  await after.commit();
  await after.rollIfDue();
  assert.equal(visible(disk), "a\nb\nc\n");
});

test("ids of finished parts are remembered for ten minutes, numbers for good", async () => {
  const disk = createMemoryDisk();
  const before = await openSink(disk, { rollBytes: 1 });
  await before.stage(makeBatch(["a"], { ids: [3] }));
  await before.commit();
  await before.rollIfDue();
  await disk.unlink(`${directory}/part-w1-00000000.jsonl`);
  await disk.unlink(`${directory}/part-w1-00000000.manifest.json`);
  const soon = await openSink(disk);
  assert.deepEqual((await soon.stage(makeBatch(["a"], { positionFrom: 5, ids: [3] }))).repeated, [0]);
  const later = await openSink(disk, { rollBytes: 1, now: () => 1000 + 11 * 60 * 1000 });
  assert.equal((await later.stage(makeBatch(["a"], { positionFrom: 5, ids: [3] }))).stored, 1);
  await later.commit();
  const [part] = await later.rollIfDue();
  assert.equal(part?.number, 1);
});

test("rows that another writer stored first are taken out before the part is published", async () => {
  const disk = createMemoryDisk();
  const before = await openSink(disk);
  await before.stage(makeBatch(["a", "b", "c", "d"], { positionDeltas: [10, 10, 10, 10] }));
  await before.commit();
  await before.discard(source, [{ from: 0, to: 10 }]);
  await before.close();
  const settledElsewhere = (): { from: number; to: number }[] => [{ from: 20, to: 30 }];
  const after = await openSink(disk, { rollBytes: 1, settledElsewhere });
  assert.deepEqual(after.recovery.entries, [
    {
      source,
      intervals: [
        { from: 10, to: 20 },
        { from: 30, to: 40 },
      ],
      messages: 2,
    },
  ]);
  const [part] = await after.rollIfDue();
  assert.equal(visible(disk), "b\nd\n");
  assert.equal(part?.manifest.messages, 2);
});

test("a stream that changes its format gets a new part for it", async () => {
  const disk = createMemoryDisk();
  const before = await openSink(disk);
  await before.stage(makeBatch(["a"]));
  await before.commit();
  await before.close();
  const after = await openSink(disk, { format: "records", rollBytes: 1 });
  await after.stage(makeBatch(["b"], { positionFrom: 1 }));
  await after.commit();
  const parts = await after.rollIfDue();
  assert.deepEqual(
    parts.map(({ manifest }) => manifest.format),
    ["lines", "records"],
  );
});

test("a commit that a full disk stopped in part answers everything when it is tried again", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 4 });
  await sink.stage(makeBatch(["one"]));
  await nextIsBegun(disk);
  const calls = disk.calls();
  // The data's sync is the first call of a commit, the journal's write the second.
  disk.breakAt(calls + 2, "ENOSPC");
  await assert.rejects(sink.commit(), { code: "resource_exhausted" });
  await sink.stage(makeBatch(["two"], { positionFrom: 1 }));
  const entries = await sink.commit();
  assert.equal(
    entries.reduce((sum, { messages }) => sum + messages, 0),
    2,
  );
});

test("after a failed sync every call is refused and nothing is published", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 1 });
  await sink.stage(makeBatch(["one"]));
  await nextIsBegun(disk);
  disk.breakAt(disk.calls() + 1, "EIO");
  await assert.rejects(sink.commit(), (error: CodedError) => {
    return error.code === "internal" && isSystemError(error.cause, "EIO");
  });
  await assert.rejects(sink.commit(), { code: "internal" });
  await assert.rejects(
    sink.stage(makeBatch(["two"], { positionFrom: 1 })).then(() => sink.commit()),
    {
      code: "internal",
    },
  );
  assert.equal(visible(disk), "");
});

test("a name that would leave the directory is refused", async () => {
  for (const field of ["tenant", "stream", "writer"] as const) {
    await assert.rejects(openSink(createMemoryDisk(), { [field]: "../x" }), {
      code: "invalid_argument",
      field,
    });
  }
});

test("a body that changed while it was written is not stored, and the next one takes its place", async () => {
  const disk = createMemoryDisk();
  const sink = await openSink(disk, { rollBytes: 8 });
  await sink.stage(makeBatch(["one"]));
  const changed = new CodedError("aborted", "the segment was used again");
  const verify = (): void => {
    throw changed;
  };
  await assert.rejects(sink.stage(makeBatch(["a longer one"], { positionFrom: 1 }), verify), {
    code: "aborted",
  });
  await sink.stage(makeBatch(["two"], { positionFrom: 2 }));
  await sink.commit();
  await sink.rollIfDue();
  assert.equal(visible(disk), "one\ntwo\n");
  const manifest = disk.contents(`${directory}/part-w1-00000000.manifest.json`).toString();
  assert.equal((JSON.parse(manifest) as { blake3: string }).blake3, contentHash(Buffer.from("one\ntwo\n")));
  assert.equal((await sink.stage(makeBatch(["one again"], { positionFrom: 1 }))).stored, 1);
});
