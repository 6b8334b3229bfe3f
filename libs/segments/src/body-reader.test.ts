import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { buildBatch } from "@millrace/envelope/testing";
import { createBodyReader } from "./body-reader.js";
import { openBodyStore } from "./body-store.js";

const mib = 1024 * 1024;

async function workbench(t: TestContext, mmapBytesMax: number) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-reader-"));
  const bodies = await openBodyStore({
    sideDir,
    side: "raw",
    owner: "buffer-0",
    node: "local",
    segmentBytes: mib,
    liveBytesMax: 8 * mib,
  });
  const reader = createBodyReader({ dirs: { raw: sideDir }, mmapBytesMax });
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
