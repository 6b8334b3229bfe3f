import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { Disk } from "../disk/disk.js";
import { createMemoryDisk, createRandom } from "../testing/memory-disk.js";
import { openSegmentLog, type SegmentLog } from "./segment-log.js";

const segmentBytes = 64 * 1024;
const sizes = { segmentBytes, liveBytesMax: 64 * segmentBytes };

const frameOf = (n: number, bodyBytes = 5_000) => ({
  id: n.toString(16).padStart(32, "0"),
  subject: "s",
  batch: Buffer.from(`meta${n}`),
  body: Buffer.alloc(bodyBytes, n),
});
const idsOf = (log: SegmentLog): number[] => log.recovered.map(({ id }) => Number.parseInt(id, 16));

/** Four frames in a segment file, and the places of their bytes. */
async function fourFrames(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "millrace-faults-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const log = await openSegmentLog({ dir, ...sizes });
  const ends = [64];
  for (const n of [1, 2, 3, 4]) {
    const { offset, length } = await log.append(frameOf(n));
    ends.push((offset + length + 7) & ~7);
  }
  await log.close();
  const path = join(dir, readdirSync(dir).find((name) => /^\d+\.seg$/.test(name)) ?? "");
  const whole = readFileSync(path);
  const bytesOf = (n: number): Buffer => whole.subarray(ends[n - 1], ends[n]);
  const reopenWith = async (bytes: Uint8Array): Promise<SegmentLog> => {
    writeFileSync(path, bytes);
    const again = await openSegmentLog({ dir, ...sizes });
    await again.close();
    return again;
  };
  return { dir, whole, ends, bytesOf, reopenWith };
}

test("a last 4 KiB of zeros costs the frame that it hit, and no other", async (t) => {
  const { whole, ends, reopenWith } = await fourFrames(t);
  const torn = Buffer.from(whole);
  const end = ends[4] ?? 0;
  torn.fill(0, end - 4_096, end);
  const log = await reopenWith(torn);
  assert.deepEqual([idsOf(log), log.damaged], [[1, 2, 3], 1]);
});

test("a damaged frame is copied to quarantine, as it was found", async (t) => {
  const { dir, whole, ends, bytesOf, reopenWith } = await fourFrames(t);
  const flipped = Buffer.from(whole);
  const at = (ends[1] ?? 0) + 3_000;
  flipped[at] = (flipped[at] ?? 0) ^ 0x10;
  const log = await reopenWith(flipped);
  assert.deepEqual([idsOf(log), log.damaged], [[1, 3, 4], 1]);
  const [name = ""] = readdirSync(join(dir, "quarantine"));
  assert.equal(name, `1-${ends[1]}.frame`);
  const kept = readFileSync(join(dir, "quarantine", name));
  assert.deepEqual(kept, flipped.subarray(ends[1], ends[2]));
  assert.notDeepEqual(kept, bytesOf(2));
});

test("two frames that changed places are both whole", async (t) => {
  const { whole, bytesOf, reopenWith } = await fourFrames(t);
  const swapped = Buffer.concat([whole.subarray(0, 64), ...[1, 3, 2, 4].map(bytesOf)]);
  const log = await reopenWith(Buffer.concat([swapped, whole.subarray(swapped.length)]));
  assert.deepEqual([idsOf(log), log.damaged], [[1, 3, 2, 4], 0]);
});

test("a frame that is there twice is recovered twice, for the body store to free one", async (t) => {
  const { whole, bytesOf, reopenWith } = await fourFrames(t);
  const doubled = Buffer.concat([whole.subarray(0, 64), ...[1, 2, 2, 3].map(bytesOf)]);
  const log = await reopenWith(Buffer.concat([doubled, whole.subarray(doubled.length)]));
  assert.deepEqual([idsOf(log), log.damaged], [[1, 2, 2, 3], 0]);
});

for (const fault of ["EIO", "short"] as const) {
  test(`${fault} at each call in turn: nothing is acknowledged that is not recovered`, async () => {
    const calls = await callsOf(fault, Number.MAX_SAFE_INTEGER);
    assert.ok(calls > 15);
    for (let call = 1; call <= calls; call++) await callsOf(fault, call);
  });
}

/** Appends ten frames while one call breaks, and what was acknowledged must be there afterwards. */
async function callsOf(fault: "EIO" | "short", call: number): Promise<number> {
  const disk = createMemoryDisk();
  disk.breakAt(call, fault);
  const options = { dir: "/d", segmentBytes: 16 * 1024, liveBytesMax: 1024 * 1024, disk };
  const acknowledged: number[] = [];
  let failed = 0;
  try {
    const log = await openSegmentLog(options);
    for (let n = 1; n <= 10; n++) {
      try {
        await log.append(frameOf(n, 3_000));
        assert.equal(failed, 0, `frame ${n} was acknowledged after an error (call ${call})`);
        acknowledged.push(n);
      } catch (caught) {
        if (caught instanceof assert.AssertionError) throw caught;
        failed++;
      }
    }
  } catch (caught) {
    if (caught instanceof assert.AssertionError) throw caught;
  }
  const made = disk.calls();
  disk.powerCut(createRandom(call));
  const again = await openSegmentLog(options);
  const recovered = new Set(idsOf(again));
  for (const n of acknowledged) assert.ok(recovered.has(n), `frame ${n} was acknowledged (call ${call})`);
  await again.close();
  return made;
}

/** A disk of which one file can't be renamed, for as many times as it is told. */
function stuckDisk(path: string) {
  const disk = createMemoryDisk();
  const stuck = { times: 1 };
  const rename: Disk["rename"] = async (from, to) => {
    if (from === path && stuck.times-- > 0) throw Object.assign(new Error("no rename"), { code: "EIO" });
    await disk.rename(from, to);
  };
  return { disk: { ...disk, rename }, stuck };
}

test("a file that can't be put away counts as live, and is used again once it can", async () => {
  const { disk, stuck } = stuckDisk("/d/00000001.seg");
  const size = 16 * 1024;
  const log = await openSegmentLog({ dir: "/d", segmentBytes: size, liveBytesMax: 2 * size, disk });
  const [first, second] = [await log.append(frameOf(1, 12_000)), await log.append(frameOf(2, 12_000))];
  stuck.times = 2;
  await log.release(first);
  assert.equal(log.liveBytes(), 2 * size);
  await assert.rejects(log.shelf.putAway(), { code: "EIO" });
  await assert.rejects(log.append(frameOf(3, 12_000)), { code: "resource_exhausted" });
  await log.shelf.putAway();
  assert.deepEqual([log.liveBytes(), disk.list("/d")], [size, ["00000002.seg", "free-1.seg"]]);
  await log.append(frameOf(3, 12_000));
  await log.release(second);
  assert.deepEqual(disk.list("/d"), ["00000003.seg", "free-2.seg"]);
});

test("a file that was put away although the disk said no is handed on once", async () => {
  const disk = createMemoryDisk();
  const size = 16 * 1024;
  const log = await openSegmentLog({ dir: "/d", segmentBytes: size, liveBytesMax: 8 * size, disk });
  const first = await log.append(frameOf(1, 12_000));
  await log.append(frameOf(2, 12_000));
  // A rename has two calls: before it took effect, and after.
  disk.breakAt(disk.calls() + 2, "EIO");
  await log.release(first);
  assert.deepEqual([log.liveBytes(), disk.list("/d")], [2 * size, ["00000002.seg", "free-1.seg"]]);
  await Promise.all([log.shelf.putAway(), log.shelf.putAway()]);
  assert.equal(log.liveBytes(), size);
  await log.append(frameOf(3, 12_000));
  await log.append(frameOf(4, 12_000));
  assert.equal(log.liveBytes(), 3 * size);
});

/** A file system of 1 MiB, where the test may make one. */
function smallDisk(t: TestContext): string | undefined {
  const dir = mkdtempSync(join(tmpdir(), "millrace-full-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", dir], { stdio: "ignore" });
  } catch {
    rmSync(dir, { recursive: true });
    return undefined;
  }
  t.after(() => {
    execFileSync("umount", [dir]);
    rmSync(dir, { recursive: true });
  });
  return dir;
}

test("a full disk refuses, tears nothing, and goes on as soon as there is room", async (t) => {
  const mounted = smallDisk(t);
  if (mounted === undefined) return t.skip("no file system of its own for this user");
  const dir = join(mounted, "log");
  mkdirSync(dir);
  writeFileSync(join(mounted, "ballast"), Buffer.alloc(700 * 1024));
  const log = await openSegmentLog({ dir, ...sizes });
  const acknowledged: number[] = [];
  const refusals: string[] = [];
  for (let n = 1; n <= 80; n++) {
    try {
      await log.append(frameOf(n));
      acknowledged.push(n);
    } catch (caught) {
      refusals.push((caught as { code: string }).code);
      // Somebody makes room.
      if (refusals.length === 3) rmSync(join(mounted, "ballast"));
    }
  }
  assert.deepEqual(refusals, ["resource_exhausted", "resource_exhausted", "resource_exhausted"]);
  await log.close();
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual([idsOf(again), again.damaged], [acknowledged, 0]);
  await again.close();
});

test("a disk that is full at each call in turn refuses, and the next frame goes through", async () => {
  for (let call = 1; call <= 40; call++) {
    const disk = createMemoryDisk();
    const options = { dir: "/d", segmentBytes: 16 * 1024, liveBytesMax: 1024 * 1024, disk };
    const log = await openSegmentLog(options);
    disk.breakAt(disk.calls() + call, "ENOSPC");
    const acknowledged: number[] = [];
    for (let n = 1; n <= 12; n++) {
      const appended = await log.append(frameOf(n, 3_000)).catch((error: { code: string }) => error);
      if (!("code" in appended)) acknowledged.push(n);
      // What the disk answers to a sync or a rename is not known to be undone: then the log ends.
      else if (appended.code === "unavailable") break;
      else disk.restart();
    }
    disk.powerCut(createRandom(call));
    const recovered = new Set(idsOf(await openSegmentLog(options)));
    for (const n of acknowledged) assert.ok(recovered.has(n), `frame ${n}, call ${call}`);
  }
});
