import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { crc32 } from "@millrace/files";
import { encodeBatch, idText } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import { openBodyStore } from "../body-store.js";
import { forge, forgedId } from "../testing/forged-frames.js";
import { decodeSegmentHead } from "./frame.js";
import { openSegmentLog } from "./segment-log.js";

const segmentBytes = 256 * 1024;
const sizes = { segmentBytes, liveBytesMax: 16 * segmentBytes };

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "millrace-forged-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);
const frameOf = (n: number, body: Buffer) => ({
  id: n.toString(16).padStart(32, "0"),
  subject: "raw.batch.any.t.mine",
  batch: Buffer.from("meta"),
  body,
});
const segmentFiles = (dir: string): string[] =>
  readdirSync(dir)
    .filter((name) => /^\d+\.seg$/.test(name))
    .map((name) => join(dir, name));

/** Fills segments with forged frames, frees them, and writes one honest frame into each anew. */
async function recycle(dir: string, forged: Buffer): Promise<void> {
  const log = await openSegmentLog({ dir, ...sizes });
  // So that frames begin at a multiple of 8 bytes, whatever lies before.
  const aligned = range(0, 8).map((shift) => Buffer.concat([Buffer.alloc(shift), forged]));
  const places = [];
  for (const [n, part] of aligned.entries()) {
    places.push(await log.append(frameOf(n + 1, Buffer.concat([Buffer.alloc(100 * 1024), part]))));
  }
  for (const place of places) await log.release(place);
  for (const n of range(101, 105)) await log.append(frameOf(n, Buffer.alloc(70 * 1024, 7)));
  await log.close();
}

test("bytes of a body are no frame once its file is used again, whatever salt they guess", async (t) => {
  for (const salt of [0n, 1n, 0xffff_ffff_ffff_ffffn]) {
    const dir = folder(t);
    const subject = "clean.batch.any.victim.stream";
    const [batch, body] = [Buffer.from("forged"), Buffer.from("PERSONAL DATA")];
    await recycle(dir, forge({ subject, batch, body, salt, segments: range(2, 60) }));
    const log = await openSegmentLog({ dir, ...sizes });
    const found = log.recovered.map(({ id }) => Number.parseInt(id, 16));
    assert.deepEqual(found, [101, 102, 103, 104]);
    assert.equal(log.damaged, 0);
    await log.close();
  }
});

test("a recycled file has a new salt, and one known from its former life is of no use", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const saltOf = (path: string): bigint | undefined => decodeSegmentHead(readFileSync(path))?.salt;
  const salts = new Set<bigint>();
  for (const n of range(1, 8)) {
    const place = await log.append(frameOf(n, Buffer.alloc(200 * 1024)));
    const salt = saltOf(join(dir, `${String(place.segment).padStart(8, "0")}.seg`));
    if (salt !== undefined) salts.add(salt);
    await log.release(place);
  }
  assert.equal(salts.size, 7);
  await log.close();
});

test("a head with one damaged copy costs nothing, and without both nothing is a frame", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  const segments = range(1, 20);
  const [batch, body] = [Buffer.from("forged"), Buffer.from("x")];
  await log.append(frameOf(1, forge({ subject: "raw.x", batch, body, salt: 0n, segments })));
  await log.close();
  const [path = ""] = segmentFiles(dir);
  const whole = readFileSync(path);
  for (const at of [3, 20, 25, 34, 50]) {
    const flipped = Buffer.from(whole);
    flipped[at] = (flipped[at] ?? 0) ^ 1;
    writeFileSync(path, flipped);
    const again = await openSegmentLog({ dir, ...sizes });
    assert.deepEqual([again.recovered.length, again.damaged], [1, 0], `byte ${at}`);
    await again.close();
  }
  writeFileSync(path, Buffer.from(whole).fill(0, 0, 64));
  const again = await openSegmentLog({ dir, ...sizes });
  assert.deepEqual([again.recovered.length, again.damaged], [0, 1]);
  await again.close();
});

test("a log of an earlier build is refused by name, and left as it is", async (t) => {
  const dir = folder(t);
  const log = await openSegmentLog({ dir, ...sizes });
  await log.append(frameOf(1, Buffer.alloc(100)));
  await log.close();
  const [path = ""] = segmentFiles(dir);
  const earlier = readFileSync(path);
  earlier.fill(0, 16, 64);
  earlier.writeUInt16LE(1, 4);
  earlier.writeUInt32LE(crc32(earlier.subarray(0, 16)), 16);
  writeFileSync(path, earlier);
  await assert.rejects(openSegmentLog({ dir, ...sizes }), {
    code: "failed_precondition",
    message: /segment 1 was written by an earlier build/,
    remedy: /--reset/,
  });
  assert.deepEqual(readFileSync(path), earlier);
});

/** A body store whose only segment holds a frame that no honest writer made, with the true salt. */
async function withForeignFrame(t: TestContext, subject: string, batch: Uint8Array) {
  const sideDir = folder(t);
  const options = { side: "raw" as const, owner: "buffer-1", node: "n", monotonic: () => 0 };
  const open = () => openBodyStore({ ...options, sideDir, ...sizes });
  const store = await open();
  const honest = buildBatch({ texts: ["x".repeat(100_000)], from: 0 });
  await store.place(honest, "raw.batch.any.t.mine");
  await store.close();
  const dir = join(sideDir, options.owner);
  const [path = ""] = segmentFiles(dir);
  const bytes = readFileSync(path);
  const salt = decodeSegmentHead(bytes)?.salt ?? assert.fail();
  const body = Buffer.from("body");
  const frame = forge({ subject, batch, body, salt, segments: [1] });
  const end =
    64 +
    ((64 +
      2 +
      "raw.batch.any.t.mine".length +
      encodeBatch(honest, undefined).length +
      honest.body.length +
      7) &
      ~7);
  frame.copy(bytes, end);
  writeFileSync(path, bytes);
  return { open, dir, honest: idText(honest.header.id) };
}

const whole = encodeBatch(buildBatch({ texts: ["forged"], from: 5 }), undefined);
for (const [what, subject, batch] of [
  ["a meta that is no batch", "raw.batch.any.victim.s", Buffer.from([0xff, 0xff, 0xff])],
  ["a subject of the other side", "clean.batch.any.victim.s", whole],
  ["no subject, where nobody leases", "", whole],
] as const) {
  test(`${what} is damage: quarantined, and the others are recovered`, async (t) => {
    const { open, dir, honest } = await withForeignFrame(t, subject, batch);
    const store = await open();
    assert.deepEqual([store.recovered.map(({ id }) => id), store.damaged], [[honest], 1]);
    assert.equal(readdirSync(join(dir, "quarantine")).length, 1);
    await store.close();
  });
}

test("the frame that the tests of damage put there is found where it is sound", async (t) => {
  const { open, honest } = await withForeignFrame(t, "raw.batch.any.victim.s", whole);
  const store = await open();
  assert.deepEqual([store.recovered.map(({ id }) => id), store.damaged], [[honest, forgedId], 0]);
  await store.close();
});

test("a spilled frame not of this log is damage, and one of an earlier build is refused", async (t) => {
  const { open, dir, honest } = await withForeignFrame(t, "raw.batch.any.victim.s", Buffer.from([0xff]));
  const [batch, body] = [Buffer.from([0xff, 0xff]), Buffer.from("body")];
  const frame = forge({ subject: "raw.batch.any.victim.s", batch, body, salt: 1n, segments: [9] });
  const spilled = join(dir, "spill", "9-4160.frame");
  mkdirSync(join(dir, "spill"));
  writeFileSync(spilled, frame);
  const store = await open();
  assert.deepEqual([store.recovered.map(({ id }) => id), store.damaged], [[honest], 2]);
  await store.close();
  assert.equal(existsSync(spilled), false);
  assert.deepEqual(readFileSync(join(dir, "quarantine", "9-4160.frame")), frame);
  frame.writeUInt16LE(1, 4);
  writeFileSync(spilled, frame);
  await assert.rejects(open(), { code: "failed_precondition", remedy: /--reset/ });
  assert.deepEqual(readFileSync(spilled), frame);
});
