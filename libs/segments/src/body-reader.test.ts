import assert from "node:assert/strict";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { decodeBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import { present } from "@millrace/errors";
import { createBodyReader, keepReader } from "./body-reader.js";
import { Stream } from "@millrace/proto/stream";
import { inferredFolder, openBodyStore } from "./body-store.js";
import { readingOf } from "./reading.js";

type GivenStream = Parameters<typeof Stream.fromPartial>[0];

const mib = 1024 * 1024;

async function workbench(t: TestContext, mmapBytesMax: number, stream?: GivenStream) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-reader-"));
  const bodies = await openBodyStore({
    sideDir,
    side: "raw",
    owner: "buffer-0",
    node: "local",
    monotonic: () => 0,
    segmentBytes: mib,
    liveBytesMax: 8 * mib,
  });
  const reading = readingOf(stream && Stream.fromPartial(stream));
  const reader = createBodyReader({ dirs: { raw: sideDir }, mmapBytesMax, reading: async () => reading });
  t.after(async () => {
    await reader.close();
    await bodies.close();
    rmSync(sideDir, { recursive: true, force: true });
  });
  const place = (from: number, letter = "x") =>
    bodies.place(buildBatch({ texts: [letter.repeat(300_000)], from }), "raw.batch.any.t.s");
  return { dir: join(sideDir, "buffer-0"), bodies, reader, place };
}

const textOf = ({ body }: { body: Uint8Array }): string => Buffer.from(body).toString();

for (const [how, mmapBytesMax] of [
  ["mapped", 8 * mib],
  ["copied, since one segment is above the bound", mib - 1],
  ["copied", 0],
] as const) {
  test(`a body is read ${how}`, async (t) => {
    const { reader, place } = await workbench(t, mmapBytesMax);
    for (const letter of ["a", "b", "c", "d"]) {
      const open = await reader.open((await place(letter.charCodeAt(0), letter)).bytes);
      assert.equal(textOf(open), letter.repeat(300_000));
      assert.doesNotThrow(() => reader.stillTrue(open));
      reader.release(open);
    }
  });
}

test("a body whose segment is used again while it is held is not true any more", async (t) => {
  const { bodies, reader, place } = await workbench(t, 8 * mib);
  const first = await place(1, "a");
  const held = await reader.open(first.bytes);
  const placed = [first];
  // Three bodies a segment: the first one is full, freed, and taken again.
  for (let n = 2; n <= 3; n++) placed.push(await place(n));
  for (const { id } of placed) await bodies.release(id);
  assert.doesNotThrow(() => reader.stillTrue(held), "freed, and not written again");
  for (let n = 4; n <= 9; n++) await place(n, "z");
  assert.notEqual(textOf(held), "a".repeat(300_000), "this is what must not be published");
  assert.throws(() => reader.stillTrue(held), { code: "aborted" });
  reader.release(held);
  await assert.rejects(reader.open(first.bytes), { code: "not_found" });
});

test("a copied body stays what it was whatever becomes of its segment", async (t) => {
  const { bodies, reader, place } = await workbench(t, 0);
  const first = await place(1, "a");
  const held = await reader.open(first.bytes);
  await bodies.release(first.id);
  for (let n = 2; n <= 9; n++) await bodies.release((await place(n, "z")).id);
  assert.equal(textOf(held), "a".repeat(300_000));
  assert.doesNotThrow(() => reader.stillTrue(held));
});

test("a mapped body with a flipped bit is data loss", async (t) => {
  const { dir, reader, place } = await workbench(t, 8 * mib);
  const placed = await place(1);
  const path = join(dir, readdirSync(dir).find((name) => name.endsWith(".seg")) ?? "");
  const bytes = readFileSync(path);
  bytes[100_000] = (bytes[100_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(reader.open(placed.bytes), { code: "data_loss" });
});

test("a segment that is gone is not found, mapped or not", async (t) => {
  const { dir, reader, place } = await workbench(t, 8 * mib);
  const placed = await place(1);
  for (const name of readdirSync(dir)) rmSync(join(dir, name));
  await assert.rejects(reader.open(placed.bytes), { code: "not_found" });
});

/** Two bodies of 300,000 bytes that are held at once, and what was read of their stream then. */
async function readTwo(t: TestContext, stream: GivenStream, mmapBytesMax = 8 * mib) {
  const { reader, place } = await workbench(t, mmapBytesMax, stream);
  const held = [
    await reader.open((await place(1, "a")).bytes),
    await reader.open((await place(2, "b")).bytes),
  ];
  const [first] = held;
  assert.deepEqual(held.map(textOf), ["a".repeat(300_000), "b".repeat(300_000)]);
  const read = () => {
    const header = first?.header;
    return reader.readBytes(header?.tenant ?? "", header?.stream ?? "");
  };
  return { reader, place, held, read };
}

test("a stream without memory mapping is read plainly", async (t) => {
  const { read } = await readTwo(t, { memoryMapping: false });
  assert.deepEqual(read(), { mapped: 0, read: 600_000, inline: 0 });
});

test("a stream has no more than its mapped bytes in use at once; the rest is read plainly", async (t) => {
  const { reader, place, held, read } = await readTwo(t, { mmapBytes: 400_000 });
  assert.deepEqual(read(), { mapped: 300_000, read: 300_000, inline: 0 });
  for (const each of held) reader.release(each);
  await reader.open((await place(3)).bytes);
  assert.deepEqual(
    read(),
    { mapped: 600_000, read: 300_000, inline: 0 },
    "what was given back is free again",
  );
});

test("without zero copy a body stays what it was whatever becomes of its segment", async (t) => {
  const { bodies, reader, place } = await workbench(t, 8 * mib, { zeroCopy: false });
  const first = await place(1, "a");
  const held = await reader.open(first.bytes);
  await bodies.release(first.id);
  for (let n = 2; n <= 9; n++) await bodies.release((await place(n, "z")).id);
  assert.equal(textOf(held), "a".repeat(300_000));
  assert.doesNotThrow(() => reader.stillTrue(held));
  const { tenant, stream } = held.header;
  assert.deepEqual(reader.readBytes(tenant, stream), { mapped: 300_000, read: 0, inline: 0 });
});

test("a body within its batch counts as such, and a stream that is gone as nothing", async (t) => {
  const { bodies, reader } = await workbench(t, 8 * mib);
  const { bytes } = await bodies.place(buildBatch({ texts: ["short"] }), "raw.batch.any.t.s");
  const { tenant, stream } = (await reader.open(bytes)).header;
  assert.deepEqual(reader.readBytes(tenant, stream), { mapped: 0, read: 0, inline: 5 });
  reader.forget(tenant, stream);
  assert.deepEqual(reader.readBytes(tenant, stream), { mapped: 0, read: 0, inline: 0 });
});

test("a reader that may map nothing says why", async (t) => {
  const { reader, read } = await readTwo(t, {}, 0);
  assert.equal(reader.unmappedReason, "segments.mmapBytesMax is 0");
  assert.deepEqual(read(), { mapped: 0, read: 600_000, inline: 0 });
});

/** Whether this process keeps blocks of a file, mapped or open; only Linux can be asked. */
function isKept(path: string): boolean {
  if (process.platform !== "linux") return false;
  const linkOf = (fd: string): string => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  };
  const files = readdirSync("/proc/self/fd").map(linkOf);
  return [...files, ...readFileSync("/proc/self/maps", "utf8").split("\n")].some(
    (line) => line.includes(path) && line.includes("(deleted)"),
  );
}

for (const [how, mmapBytesMax] of [
  ["maps", 8 * mib],
  ["files", 0],
] as const) {
  test(`${how} of deleted segments are let go within a second`, async (t) => {
    const { dir, bodies, reader, place } = await workbench(t, mmapBytesMax);
    let rounds = 0;
    const seconds = (_: number, signal: AbortSignal): Promise<void> => {
      rounds += 1;
      if (rounds < 3) return Promise.resolve();
      return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    };
    reader.release(await reader.open((await place(1)).bytes));
    // The owner too has it open until it is closed.
    await bodies.close();
    const [segment = ""] = readdirSync(dir).filter((name) => /^\d+\.seg$/.test(name));
    const path = join(dir, segment);
    unlinkSync(path);
    assert.equal(isKept(path), process.platform === "linux");
    const kept = keepReader(reader, { clock: { sleep: seconds } });
    await kept.start();
    for (let turn = 0; turn < 2_000 && (rounds < 3 || isKept(path)); turn++) await new Promise(setImmediate);
    assert.equal(isKept(path), false);
    await kept.stop();
  });
}

test("bodies of inference are found where it keeps them apart, and below the clean side", async (t) => {
  const root = mkdtempSync(join(tmpdir(), "millrace-inferred-"));
  const [cleanDir, ownDir] = [join(root, "clean"), join(root, "clean", inferredFolder)];
  const bodies = await openBodyStore({
    sideDir: ownDir,
    folder: inferredFolder,
    side: "clean",
    owner: "inference-millrace-inference-0",
    node: "local",
    monotonic: () => 0,
    segmentBytes: mib,
    liveBytesMax: 8 * mib,
  });
  const text = "i".repeat(300_000);
  const { bytes } = await bodies.place(buildBatch({ texts: [text] }), "enriched.y.y.n.n.batch.any.t.s");
  // As the stages behind it, as its own listener, and as one that may read neither.
  const readers = [{ clean: cleanDir }, { inferred: ownDir }, { raw: cleanDir }].map((dirs) =>
    createBodyReader({ dirs }),
  );
  t.after(async () => {
    for (const reader of readers) await reader.close();
    await bodies.close();
    rmSync(root, { recursive: true, force: true });
  });
  const [behind, own, stranger] = readers;
  assert.equal(textOf(present(await behind?.open(bytes), "the batch")), text);
  assert.equal(textOf(present(await own?.open(bytes), "the batch")), text);
  await assert.rejects(present(stranger?.open(bytes), "a try"), { code: "permission_denied" });
  const { body } = decodeBatch(bytes);
  const range = body?.$case === "range" ? body.value : assert.fail("the body lies in a segment");
  assert.equal(range.log, "clean/inference/inference-millrace-inference-0");
  for (const log of ["raw/inference/x", "clean/other/x", "clean/inference/../x", "clean/inference/x/y"]) {
    await assert.rejects(present(behind?.read({ ...range, log }), "a try"), { code: "permission_denied" });
  }
  await assert.rejects(present(behind?.read({ ...range, crc32: 1 }), "a try"), { code: "data_loss" });
});
