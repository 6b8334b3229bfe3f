import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { createMemoryDisk, createRandom } from "../testing/memory-disk.js";
import type { FramePlace } from "./frame-writer.js";
import { forgedFrames } from "../testing/forged-frames.js";
import { mutantLog } from "../testing/mutant-log.js";
import { openSegmentLog, type SegmentLog } from "./segment-log.js";

const dir = "/log";
const segmentBytes = 8 * 1024;

type Step =
  | { do: "append"; bytes: number }
  | { do: "release"; pick: number }
  | { do: "reopen" }
  | { do: "kill" }
  | { do: "powerCut"; seed: number }
  | { do: "fault"; fault: "EIO" | "ENOSPC" | "short"; after: number }
  | { do: "flip"; pick: number; at: number; bit: number };

const nat = fc.nat(10_000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 12, arbitrary: fc.record({ do: fc.constant("append" as const), bytes: fc.nat(3_000) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant("release" as const), pick: nat }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("reopen" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("kill" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("powerCut" as const), seed: nat }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("fault" as const),
      fault: fc.constantFrom("EIO" as const, "ENOSPC" as const, "short" as const),
      after: fc.integer({ min: 1, max: 8 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("flip" as const), pick: nat, at: nat, bit: fc.nat(7) }),
  },
);

/** What must be there, what may be, and what each frame held. */
interface Model {
  /** Acknowledged, not released, not damaged. */
  sure: Map<string, FramePlace>;
  /** Released without a sync, refused in the middle, or damaged: whether it comes back is open. */
  open: Set<string>;
  bodies: Map<string, Buffer>;
}

/** How an implementation that forgets something is told: each must be caught. */
interface Mutant {
  acknowledgesTooEarly?: boolean;
  open?: typeof openSegmentLog;
}

async function run(steps: readonly Step[], mutant: Mutant = {}): Promise<void> {
  const disk = createMemoryDisk();
  const model: Model = { sure: new Map(), open: new Set(), bodies: new Map() };
  let salts = 0n;
  // Each life a different one, and none that the bodies below could know.
  const newSalt = (): bigint => 0x5a17_0000_0000_0000n + ++salts;
  const contents = ({ segment }: FramePlace): Buffer =>
    disk.contents(`${dir}/${String(segment).padStart(8, "0")}.seg`);
  const faulty =
    mutant.acknowledgesTooEarly === true
      ? {
          ...disk,
          open: async (path: string, mode: "create" | "existing") => ({
            ...(await disk.open(path, mode)),
            fdatasync: async () => undefined,
          }),
        }
      : disk;
  const open = (): Promise<SegmentLog> =>
    (mutant.open ?? openSegmentLog)({
      dir,
      segmentBytes,
      liveBytesMax: 5 * segmentBytes,
      disk: faulty,
      newSalt,
    });
  /** Compares what a new life finds with the model, which goes on from there. */
  const reopen = async (): Promise<SegmentLog> => {
    const log = await open();
    const found = new Map(log.recovered.map((frame) => [frame.id, frame]));
    for (const id of model.sure.keys()) assert.ok(found.has(id), `frame ${id} was acknowledged and is gone`);
    for (const [id, { place }] of found) {
      assert.ok(model.sure.has(id) || model.open.has(id), `frame ${id} was released and is back`);
      const body = contents(place).subarray(place.offset, place.offset + place.length);
      const expected = model.bodies.get(id) ?? assert.fail();
      assert.deepEqual(body, expected, `frame ${id} is not what was written`);
      model.sure.set(id, place);
      model.open.delete(id);
    }
    return log;
  };
  let log = await open();
  let count = 0;
  for (const next of steps) {
    if (next.do === "append") {
      const id = (++count).toString(16).padStart(32, "0");
      const body = count % 2 === 0 ? Buffer.alloc(next.bytes, count) : forgedFrames(next.bytes);
      model.bodies.set(id, body);
      model.open.add(id);
      await log.append({ id, subject: "s", batch: Buffer.from(id), body }).then(
        (place) => {
          model.open.delete(id);
          model.sure.set(id, place);
        },
        (error: { code?: string }) =>
          assert.ok(["resource_exhausted", "unavailable"].includes(error.code ?? "")),
      );
    } else if (next.do === "release") {
      const [id, place] = pickOf(model.sure, next.pick) ?? [];
      if (id === undefined || place === undefined) continue;
      model.sure.delete(id);
      model.open.add(id);
      // Where the disk fails here, the frame comes back; its batch is recognised by its id.
      await log.release(place).catch(() => undefined);
    } else if (next.do === "flip") {
      const [id, place] = pickOf(model.sure, next.pick) ?? [];
      if (id === undefined || place === undefined) continue;
      const at = place.frameOffset + (next.at % (place.offset + place.length - place.frameOffset));
      contents(place).writeUInt8((contents(place)[at] ?? 0) ^ (1 << next.bit), at);
      model.sure.delete(id);
      model.open.add(id);
    } else if (next.do === "fault") disk.breakAt(disk.calls() + next.after, next.fault);
    else {
      if (next.do === "reopen") await log.close().catch(() => undefined);
      if (next.do === "powerCut") disk.powerCut(createRandom(next.seed));
      else disk.restart();
      log = await reopen();
    }
  }
  disk.powerCut(createRandom(count));
  await reopen();
}

function pickOf(frames: ReadonlyMap<string, FramePlace>, pick: number): [string, FramePlace] | undefined {
  return [...frames][pick % Math.max(1, frames.size)];
}

test("no acknowledged frame is lost and none is altered, whatever the disk does", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 50 }), (steps) => run(steps)),
    { numRuns: 200, includeErrorInReport: true },
  );
});

test("a log that acknowledges before its sync is found out", async () => {
  const lost = run(
    [
      { do: "append", bytes: 2_000 },
      { do: "append", bytes: 2_000 },
      { do: "powerCut", seed: 1 },
    ],
    { acknowledgesTooEarly: true },
  );
  await assert.rejects(lost, /was acknowledged and is gone/);
});

test("a scan without its checksums is found out", async (t) => {
  const check = "crc32(meta) !== header.metaCrc || crc32(body) !== header.bodyCrc";
  const open = await mutantLog(t, { file: "scan.js", from: check, to: "false" });
  const handed = run(
    [
      { do: "append", bytes: 2_000 },
      // Keeps the segment: one with nothing whole in it is put away at the start.
      { do: "append", bytes: 2_000 },
      { do: "flip", pick: 0, at: 1_000, bit: 3 },
      { do: "kill" },
    ],
    { open },
  );
  await assert.rejects(handed, /is not what was written/);
});

test("a scan that takes frames of any salt is found out", async (t) => {
  const check = "salt !== undefined && bytes.readBigUInt64LE(saltOffset) !== salt";
  const open = await mutantLog(t, { file: "frame.js", from: check, to: "false" });
  const steps: Step[] = [
    { do: "append", bytes: 2_000 },
    { do: "append", bytes: 3_000 },
    // Its own header is lost, so the scan looks for the next one in its body.
    { do: "flip", pick: 0, at: 0, bit: 3 },
    { do: "kill" },
  ];
  await run(steps);
  await assert.rejects(run(steps, { open }), /was released and is back/);
});
