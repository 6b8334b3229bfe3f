import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { type Disk, nodeDisk } from "../disk/disk.js";
import { frameBytes, frameHeaderBytes, segmentHeadBytes } from "./frame.js";
import type { FramePlace } from "./frame-writer.js";
import { openSegmentLog } from "./segment-log.js";

const segmentBytes = 64 * 1024;
const sizes = { segmentBytes, liveBytesMax: 64 * segmentBytes };

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-segments-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const idOf = (n: number): string => n.toString(16).padStart(32, "0");

function frameOf(n: number, bodyBytes = 100 + n) {
  return {
    id: idOf(n),
    subject: `raw.batch.any.t.s${n}`,
    batch: Buffer.from(`meta${n}`),
    body: Buffer.alloc(bodyBytes, n),
  };
}

const idsOf = (frames: readonly { id: string }[]): number[] =>
  frames.map(({ id }) => Number.parseInt(id, 16));

const only = (dir: string): string =>
  join(dir, readdirSync(dir).filter((name) => /^\d+\.seg$/.test(name))[0] ?? "");

test("appended frames are recovered in order, with subject, batch and place", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const places: FramePlace[] = [];
  for (const n of [1, 2, 3]) places.push(await log.append(frameOf(n)));
  await log.close();
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual(idsOf(again.recovered), [1, 2, 3]);
  assert.deepEqual(
    again.recovered.map((frame) => frame.place),
    places,
  );
  assert.deepEqual(
    again.recovered.map((frame) => frame.subject),
    [1, 2, 3].map((n) => `raw.batch.any.t.s${n}`),
  );
  assert.deepEqual(
    again.recovered.map((frame) => Buffer.from(frame.batch).toString()),
    ["meta1", "meta2", "meta3"],
  );
  assert.equal(again.damaged, 0);
  const { segment, offset, length } = places[1] as FramePlace;
  assert.equal(segment, 1);
  assert.deepEqual(readFileSync(only(dir)).subarray(offset, offset + length), Buffer.alloc(102, 2));
  await again.close();
});

test("a tail torn at any byte of the last three frames costs only what was not whole", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const ends: number[] = [];
  for (const n of [1, 2, 3, 4]) {
    const { frameOffset, offset, length } = await log.append(frameOf(n, 10 + n));
    ends.push(offset + length);
    if (n === 1) assert.equal(frameOffset, segmentHeadBytes);
  }
  await log.close();
  const whole = readFileSync(only(dir));
  for (let cut = ends[0] as number; cut <= (ends[3] as number); cut++) {
    const torn = Buffer.concat([whole.subarray(0, cut), Buffer.alloc(segmentBytes - cut)]);
    writeFileSync(only(dir), torn);
    const again = await openSegmentLog({ dir, ...sizes });
    // Zeros at the end of what was cut off change nothing; these frames end in bytes that are not zero.
    const kept = ends.filter((end) => end <= cut).length;
    assert.deepEqual(idsOf(again.recovered), [1, 2, 3, 4].slice(0, kept), `cut at ${cut}`);
    await again.close();
  }
});

test("a flip of any byte of four frames is noticed, and the other frames survive", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const places: FramePlace[] = [];
  for (const n of [1, 2, 3, 4]) places.push(await log.append(frameOf(n, 10 + n)));
  await log.close();
  const whole = readFileSync(only(dir));
  for (const [index, { frameOffset, offset, length }] of places.entries()) {
    for (let at = frameOffset; at < offset + length; at++) {
      const flipped = Buffer.from(whole);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(only(dir), flipped);
      const again = await openSegmentLog({ dir, ...sizes });
      const inField = at - frameOffset;
      const harmless = (inField >= 6 && inField < 8) || (inField >= 60 && inField < 64);
      const others = [1, 2, 3, 4].filter((n) => n !== index + 1);
      assert.deepEqual(
        idsOf(again.recovered),
        harmless ? [1, 2, 3, 4] : others,
        `byte ${inField} of frame ${index}`,
      );
      // A last frame without its header can't be told from a torn tail.
      const tail = index === 3 && inField < 64;
      assert.equal(again.damaged, harmless || tail ? 0 : 1, `byte ${inField} of frame ${index}`);
      await again.close();
    }
  }
});

test("files that swing with the load stay, and those that nobody needs for a minute go", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const swing = async (segments: number): Promise<void> => {
    const places: FramePlace[] = [];
    for (let n = 0; n < segments; n++) places.push(await log.append(frameOf(n, 60_000)));
    for (const place of places) await log.release(place);
  };
  const isFree = (name: string): boolean => name.startsWith("free-");
  const minute = async (): Promise<number> => {
    for (let second = 0; second < 60; second++) await log.shelf.putAway();
    return readdirSync(dir).filter(isFree).length;
  };
  await swing(12);
  await minute();
  await swing(12);
  const free = readdirSync(dir).filter(isFree).length;
  assert.ok(free >= 10);
  assert.equal(await minute(), free, "they were needed in that minute");
  assert.equal(await minute(), 4);
  await log.close();
});

test("freed frames are not recovered, and their segment is recycled under a new number", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const places: FramePlace[] = [];
  for (let n = 1; n <= 6; n++) places.push(await log.append(frameOf(n, 20_000)));
  assert.deepEqual(
    places.map((place) => place.segment),
    [1, 1, 1, 2, 2, 2],
  );
  await log.release(places[4] as FramePlace);
  for (const place of places.slice(0, 3)) await log.release(place);
  await log.close();
  assert.deepEqual(readdirSync(dir).sort(), ["00000002.seg", "free-1.seg", "free-3.seg"]);
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual(idsOf(again.recovered), [4, 6]);
  const next = await again.append(frameOf(7, 50));
  assert.equal(next.segment, 4);
  await again.close();
  const third = await openSegmentLog({ dir, ...sizes });
  // The file held frames 1 to 3 in its former life.
  assert.deepEqual(idsOf(third.recovered), [4, 6, 7]);
  assert.equal(third.damaged, 0);
  await third.close();
});

test("segment numbers never repeat, even when all were recycled and the log opened again", async (t) => {
  const dir = folder(t);
  let last = 0;
  for (let life = 0; life < 4; life++) {
    const log = await openSegmentLog({ dir, ...sizes });
    for (let n = 0; n < 8; n++) {
      const { segment, ...place } = await log.append(frameOf(n, 60_000));
      assert.ok(segment > last);
      last = segment;
      await log.release({ segment, ...place });
    }
    await log.close();
    assert.ok(readdirSync(dir).length <= 6);
  }
});

test("appends beyond the bound of live bytes are refused until frames are freed", async (t) => {
  const log = await openSegmentLog({ dir: folder(t), segmentBytes, liveBytesMax: 2 * segmentBytes });
  const first = await log.append(frameOf(1, 60_000));
  await log.append(frameOf(2, 60_000));
  await assert.rejects(log.append(frameOf(3, 60_000)), {
    code: "resource_exhausted",
    field: "segments.liveBytesMax",
  });
  assert.equal(log.liveBytes(), 2 * segmentBytes);
  await log.release(first);
  await log.append(frameOf(3, 60_000));
  await log.close();
});

test("a frame larger than a segment waits, and the remedy names a setting that helps", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const refused: unknown = await log.append(frameOf(1, segmentBytes)).catch((caught: unknown) => caught);
  assert.ok(refused instanceof CodedError);
  assert.deepEqual([refused.code, refused.field], ["unavailable", "segments.segmentBytes"]);
  await log.close();
  const named = Number(/[0-9]+/.exec(refused.remedy ?? "")?.[0]);
  const larger = await openSegmentLog({ dir, segmentBytes: named, liveBytesMax: 4 * named });
  await larger.append(frameOf(1, segmentBytes));
  await larger.close();
});

test("a bound that no segment fits is refused at the start, by name", async (t) => {
  await assert.rejects(openSegmentLog({ dir: folder(t), segmentBytes, liveBytesMax: segmentBytes - 1 }), {
    code: "invalid_argument",
    field: "segments.liveBytesMax",
  });
});

test("a thousand appends at once over many segments are all whole", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const numbers = Array.from({ length: 1000 }, (_, n) => n + 1);
  const places = await Promise.all(numbers.map((n) => log.append(frameOf(n, 1 + (n % 900)))));
  assert.ok(new Set(places.map((place) => place.segment)).size > 5);
  const spans = places.map(({ segment, frameOffset, offset, length }) => ({
    from: segment * segmentBytes + frameOffset,
    to: segment * segmentBytes + frameOffset + frameBytes(offset - frameOffset - frameHeaderBytes, length),
  }));
  spans.sort((a, b) => a.from - b.from);
  for (const [at, span] of spans.entries()) assert.ok(at === 0 || (spans[at - 1]?.to ?? 0) <= span.from);
  await log.close();
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual(
    idsOf(again.recovered).sort((a, b) => a - b),
    numbers,
  );
  await again.close();
});

interface Faults {
  /** Called before each write of a frame and each sync; may throw or hold it. */
  before(operation: "writev" | "fdatasync"): Promise<void> | void;
  /** Bytes that one writev takes at most. */
  writeBytesMax?: number;
}

const faulty = (faults: Faults): Disk => ({
  ...nodeDisk,
  open: async (path, mode) => {
    const file = await nodeDisk.open(path, mode);
    return {
      ...file,
      writev: async (parts, position) => {
        if (position >= segmentHeadBytes) await faults.before("writev");
        const [first = Buffer.alloc(0)] = parts;
        if (faults.writeBytesMax === undefined) return file.writev(parts, position);
        return file.writev([first.subarray(0, faults.writeBytesMax)], position);
      },
      fdatasync: async () => {
        await faults.before("fdatasync");
        await file.fdatasync();
      },
    };
  },
});

test("an append resolves only after a sync that began after its write", async (t) => {
  const events: string[] = [];
  let open: (() => void) | undefined;
  const log = await openSegmentLog({
    dir: folder(t),
    ...sizes,
    disk: faulty({
      before: async (operation) => {
        events.push(operation);
        if (operation === "fdatasync") await new Promise<void>((resolve) => (open = resolve));
      },
    }),
  });
  const settled: string[] = [];
  const first = log.append(frameOf(1)).then(() => settled.push("first"));
  while (open === undefined) await new Promise((resolve) => setImmediate(resolve));
  const release = open;
  open = undefined;
  // Written while the first sync runs: only the next one covers it.
  const second = log.append(frameOf(2)).then(() => settled.push("second"));
  const third = log.append(frameOf(3)).then(() => settled.push("third"));
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(settled, []);
  release();
  await first;
  while (open === undefined) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(settled, ["first"]);
  (open as () => void)();
  await Promise.all([second, third]);
  assert.deepEqual(
    events.filter((event) => event === "fdatasync").length,
    2,
    "the second and third share one sync",
  );
  await log.close();
});

test("a write that the system takes in small parts is whole", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({
    dir,
    ...sizes,
    disk: faulty({ before: () => undefined, writeBytesMax: 7 }),
  });
  await log.append(frameOf(1));
  await log.append(frameOf(2));
  await log.close();
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual(idsOf(again.recovered), [1, 2]);
  await again.close();
});

test("a full disk refuses the frame, and frames after the hole are recovered", async (t) => {
  const dir = folder(t);
  let full = false;
  const enospc = Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  const before = (operation: string): void => {
    if (full && operation === "writev") throw enospc;
  };
  const log = await openSegmentLog({ dir, ...sizes, disk: faulty({ before }) });
  await log.append(frameOf(1));
  full = true;
  await assert.rejects(log.append(frameOf(2)), { code: "resource_exhausted" });
  full = false;
  await log.append(frameOf(3));
  await log.close();
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual(idsOf(again.recovered), [1, 3]);
  await again.close();
});

test("after a failed sync nothing is acknowledged any more, whoever waited or comes later", async (t) => {
  const dir = folder(t);
  let syncs = 0;
  const eio = Object.assign(new Error("i/o error"), { code: "EIO" });
  const log = await openSegmentLog({
    dir,
    ...sizes,
    disk: faulty({
      before: (operation) => {
        if (operation === "fdatasync" && ++syncs === 2) throw eio;
      },
    }),
  });
  await log.append(frameOf(1));
  const waiting = [2, 3, 4].map((n) => log.append(frameOf(n)));
  for (const append of await Promise.allSettled(waiting)) {
    assert.equal(append.status === "rejected" && append.reason.code, "unavailable");
  }
  await assert.rejects(log.append(frameOf(5)), { code: "unavailable" });
  assert.equal(syncs, 2, "a sync that failed is not tried again");
  await log.close();
});
