import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { buildBatch } from "@millrace/envelope/testing";
import { createBodyReader } from "../body-reader.js";
import { type BodyStore, openBodyStore } from "../body-store.js";

const mib = 1024 * 1024;
const old = 10_000;

function workbench(t: TestContext) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-spill-"));
  const dir = join(sideDir, "buffer-0");
  const clock = { ms: 0 };
  const stores: BodyStore[] = [];
  const open = async (liveBytesMax = 8 * mib): Promise<BodyStore> => {
    const store = await openBodyStore({
      sideDir,
      side: "raw",
      owner: "buffer-0",
      node: "local",
      segmentBytes: mib,
      liveBytesMax,
      monotonic: () => clock.ms,
    });
    stores.push(store);
    return store;
  };
  const readers = [0, 8 * mib].map((mmapBytesMax) =>
    createBodyReader({ dirs: { raw: sideDir }, mmapBytesMax }),
  );
  t.after(async () => {
    for (const reader of readers) await reader.close();
    for (const store of stores) await store.close();
    rmSync(sideDir, { recursive: true, force: true });
  });
  return { dir, clock, open, readers, spilled: () => readdirSync(join(dir, "spill")) };
}

const batchOf = (from: number) =>
  buildBatch({ texts: [String.fromCharCode(97 + (from % 26)).repeat(100_000)], from });

/** A full segment of ten bodies, of which the last one stays, and one in the next. */
async function straggle(store: BodyStore, from = 1) {
  const placed = [];
  for (let n = from; n < from + 11; n++) placed.push(await store.place(batchOf(n), "raw.batch.any.t.s"));
  const straggler = placed[9] ?? assert.fail();
  for (const { id } of placed.slice(0, 9)) await store.release(id);
  return { straggler, later: placed[10] ?? assert.fail() };
}

test("an old straggler is copied aside and its segment used again; every reader finds it", async (t) => {
  const { dir, clock, open, readers, spilled } = workbench(t);
  const store = await open();
  const { straggler, later } = await straggle(store);
  await store.release(later.id);
  for (const reader of readers) reader.release(await reader.open(straggler.bytes));
  clock.ms += old - 1;
  await store.keep();
  assert.equal(store.spilledBytes(), 0, "not old yet");
  clock.ms += 1;
  await store.keep();
  await store.keep();
  assert.equal(spilled().length, 1);
  assert.ok(store.spilledBytes() > 100_000 && store.spilledBytes() < 101_000);
  assert.ok(readdirSync(dir).some((name) => name.startsWith("free-")));
  // Written over by the next life of the file.
  for (let n = 20; n < 40; n++) await store.release((await store.place(batchOf(n), "s")).id);
  for (const reader of readers) {
    const read = await reader.open(straggler.bytes);
    assert.equal(read.body.length, 100_000);
    assert.doesNotThrow(() => reader.stillTrue(read));
  }
  await store.release(straggler.id);
  assert.deepEqual([spilled(), store.spilledBytes()], [[], 0]);
  for (const reader of readers) await assert.rejects(reader.open(straggler.bytes), { code: "not_found" });
});

test("what was spilled is recovered under its id, once, and freed with its message", async (t) => {
  const { clock, open, spilled } = workbench(t);
  const store = await open();
  const { straggler } = await straggle(store);
  clock.ms += old;
  await store.keep();
  const again = await open();
  assert.deepEqual(again.recovered.filter(({ id }) => id === straggler.id).length, 1);
  assert.deepEqual(
    Buffer.from(again.recovered.find(({ id }) => id === straggler.id)?.bytes ?? []),
    Buffer.from(straggler.bytes),
  );
  assert.equal(again.spilledBytes(), store.spilledBytes());
  await again.release(straggler.id);
  assert.deepEqual([spilled(), again.spilledBytes()], [[], 0]);
});

test("a segment that is mostly alive is not copied", async (t) => {
  const { clock, open } = workbench(t);
  const store = await open();
  for (let n = 1; n <= 11; n++) await store.place(batchOf(n), "s");
  clock.ms += 10 * old;
  await store.keep();
  assert.equal(store.spilledBytes(), 0);
});

test("what is spilled has a bound, and counts as live", async (t) => {
  const { clock, open } = workbench(t);
  const store = await open(6 * mib);
  for (let from = 1; from <= 900; from += 11) {
    const placed = await straggle(store, from).catch(() => undefined);
    // Refused: what is not spilled any more keeps its segments.
    if (placed === undefined) break;
    await store.release(placed.later.id);
    clock.ms += old;
    await store.keep().catch(() => undefined);
  }
  assert.ok(store.spilledBytes() > 2.5 * mib && store.spilledBytes() <= 0.5 * 6 * mib);
});

test("half a copy of an earlier life is removed, one with a flipped bit is never handed out", async (t) => {
  const { dir, clock, open, readers, spilled } = workbench(t);
  const store = await open();
  const { straggler } = await straggle(store);
  clock.ms += old;
  await store.keep();
  const path = join(dir, "spill", spilled()[0] ?? "");
  const bytes = readFileSync(path);
  bytes[50_000] = (bytes[50_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  for (const reader of readers) await assert.rejects(reader.open(straggler.bytes), /segment/);
  writeFileSync(join(dir, "spill", "1-2.frame"), bytes.subarray(0, 1_000));
  const again = await open();
  assert.deepEqual(spilled(), []);
  assert.ok(!again.recovered.some(({ id }) => id === straggler.id));
});

/** Appends a frame of a tenth of a segment each so often, and sweeps each second, as a service does. */
async function run(
  { store, clock }: { store: BodyStore; clock: { ms: number } },
  { frames, everyMs }: { frames: number; everyMs: number },
  onPlaced: (id: string, n: number) => Promise<void>,
): Promise<void> {
  for (let n = 1; n <= frames; n++) {
    await onPlaced((await store.place(batchOf(n), "s")).id, n);
    const sweeps = Math.floor((clock.ms + everyMs) / 1_000) - Math.floor(clock.ms / 1_000);
    clock.ms += everyMs;
    if (sweeps > 0) await store.keep();
  }
}

/** As if 16 segments were 1 GiB: how often a tenth of a segment comes at that many MB/s. */
const everyMsAt = (megabytesPerSecond: number): number => (6.4 / megabytesPerSecond) * 1.048576 * 1_000;

test("streams that stand still pin a third more than they hold, and the others go on", async (t) => {
  const { clock, open } = workbench(t);
  const store = await open(16 * mib);
  let stuckBytes = 0;
  // Three of ten frames stay: too much of each segment for the rule of a quarter. Together half of the bound.
  await run({ store, clock }, { frames: 600, everyMs: everyMsAt(200) }, async (id, n) => {
    if (n % 10 < 3 && stuckBytes + 100_000 <= 8 * mib) stuckBytes += 100_000;
    else await store.release(id);
  });
  assert.ok(stuckBytes > 7.9 * mib);
  const pinned = store.liveBytes();
  assert.ok(pinned <= (8 * mib * 4) / 3 + 2 * mib, `${pinned} bytes`);
});

test("a batch in each segment that fails for a while slows none of the others", async (t) => {
  const { clock, open } = workbench(t);
  const store = await open(16 * mib);
  const failing: { id: string; until: number }[] = [];
  await run({ store, clock }, { frames: 1_000, everyMs: everyMsAt(300) }, async (id, n) => {
    if (n % 10 === 5) failing.push({ id, until: clock.ms + 5_000 });
    else await store.release(id);
    const [first] = failing;
    if (first !== undefined && first.until <= clock.ms) await store.release(failing.shift()?.id ?? "");
  });
  assert.ok(clock.ms > 10_000);
});

test("a backlog that drains is not copied, however full it is", async (t) => {
  const { clock, open } = workbench(t);
  const store = await open(16 * mib);
  const backlog: string[] = [];
  await run({ store, clock }, { frames: 140, everyMs: everyMsAt(200) }, async (id) => void backlog.push(id));
  for (let n = 0; backlog.length > 0; n++) {
    await store.release(backlog.shift() ?? "");
    clock.ms += everyMsAt(200);
    // Half of a segment is left each time.
    if (n % 30 === 4) await store.keep();
    assert.equal(store.spilledBytes(), 0);
  }
});
