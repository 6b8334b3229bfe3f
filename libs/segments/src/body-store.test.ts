import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { CodedError } from "@millrace/errors";
import { idText, limits, type OpenBatch } from "@millrace/envelope";
import { buildBatch, textsOf } from "@millrace/envelope/testing";
import { createBodyReader } from "./body-reader.js";
import { openBodyStore } from "./body-store.js";

const subject = "raw.batch.any.default.s";

function workbench(t: TestContext) {
  const sideDir = mkdtempSync(join(tmpdir(), "millrace-bodies-"));
  t.after(() => rmSync(sideDir, { recursive: true, force: true }));
  const options = { sideDir, side: "raw" as const, owner: "buffer-0", node: "local", monotonic: () => 0 };
  const sizes = { segmentBytes: 1024 * 1024, liveBytesMax: 8 * 1024 * 1024 };
  const reader = createBodyReader({ dirs: { raw: sideDir } });
  t.after(() => reader.close());
  return { reader, logDir: join(sideDir, "buffer-0"), open: () => openBodyStore({ ...options, ...sizes }) };
}

const withBody = (bytes: number, from = 0): OpenBatch => buildBatch({ texts: ["x".repeat(bytes)], from });

test("a body of 64 KiB travels on the bus, one byte more by segment, and both read back", async (t) => {
  const { reader, open } = workbench(t);
  const bodies = await open();
  for (const [bytes, segments] of [
    [limits.inlineBytesMax, 0],
    [limits.inlineBytesMax + 1, 1],
  ] as const) {
    const batch = withBody(bytes, bytes);
    const placed = await bodies.place(batch, subject);
    assert.equal(bodies.liveBytes() > 0 ? 1 : 0, segments);
    assert.equal(placed.bytes.length < 1000, segments === 1);
    const read = await reader.open(placed.bytes);
    assert.deepEqual(textsOf(read), textsOf(batch));
    assert.equal(idText(read.header.id), placed.id);
    assert.equal(placed.messageCount, 1);
  }
  await bodies.close();
});

test("a body in parts is written as one, in a segment or on the bus", async (t) => {
  const { reader, open } = workbench(t);
  const bodies = await open();
  for (const bytes of [2_000, 200_000]) {
    const batch = withBody(bytes, bytes);
    const cuts = [0, 1, 1, 777, bytes];
    const parts = cuts.slice(1).map((to, at) => batch.body.subarray(cuts[at], to));
    const read = await reader.open((await bodies.place({ ...batch, body: parts }, subject)).bytes);
    assert.deepEqual(textsOf(read), textsOf(batch));
  }
  await bodies.close();
});

test("a body that changed under its write is nobody's, and its batch can be placed again", async (t) => {
  const { reader, open } = workbench(t);
  const bodies = await open();
  const batch = withBody(100_000);
  let looks = 0;
  const verify = (): void => {
    looks += 1;
    if (looks > 1) throw new CodedError("aborted", "used again meanwhile");
  };
  const [first, second] = await Promise.allSettled([
    bodies.place(batch, subject, verify),
    bodies.place(batch, subject),
  ]);
  assert.deepEqual([first.status, second.status], ["rejected", "rejected"], "both are tried again");
  const placed = await bodies.place(batch, subject);
  assert.deepEqual(textsOf(await reader.open(placed.bytes)), textsOf(batch));
  await bodies.close();
  const again = await open();
  assert.deepEqual(
    again.recovered.map(({ id }) => id),
    [placed.id],
  );
  await again.close();
});

test("what was placed and not released is there after a crash, under its old id", async (t) => {
  const { reader, open } = workbench(t);
  const bodies = await open();
  const kept = await bodies.place(withBody(100_000, 1), subject);
  const freed = await bodies.place(withBody(100_000, 2), subject);
  await bodies.release(freed.id);
  const again = await open();
  assert.deepEqual(
    again.recovered.map(({ id }) => id),
    [kept.id],
  );
  assert.deepEqual(Buffer.from(again.recovered[0]?.bytes ?? []), Buffer.from(kept.bytes));
  assert.equal(again.recovered[0]?.subject, subject);
  assert.equal((await reader.open(kept.bytes)).body.length, 100_000);
  await again.close();
  await bodies.close();
});

test("the same batch placed twice, one after the other or at once, is written once", async (t) => {
  const { open } = workbench(t);
  const bodies = await open();
  const batch = withBody(100_000);
  const [one, two] = await Promise.all([bodies.place(batch, subject), bodies.place(batch, subject)]);
  const three = await bodies.place(batch, subject);
  assert.deepEqual(one, two);
  assert.deepEqual(one, three);
  await bodies.close();
  const again = await open();
  assert.equal(again.recovered.length, 1);
  await again.release(one.id);
  await again.close();
  const third = await open();
  assert.equal(third.recovered.length, 0);
  assert.equal(third.liveBytes(), 0);
  await third.close();
});

test("a range whose bytes changed is data loss, one whose segment is gone is not found", async (t) => {
  const { reader, open, logDir } = workbench(t);
  const bodies = await open();
  const placed = await bodies.place(withBody(100_000), subject);
  const path = join(logDir, readdirSync(logDir)[0] ?? "");
  const bytes = readFileSync(path);
  bytes[50_000] = (bytes[50_000] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(reader.open(placed.bytes), { code: "data_loss" });
  await bodies.close();
  rmSync(path);
  const fresh = createBodyReader({ dirs: { raw: logDir.slice(0, -"/buffer-0".length) } });
  await assert.rejects(fresh.open(placed.bytes), { code: "not_found" });
});

test("a reader without the raw side, or given a path for a log, is refused", async (t) => {
  const { open } = workbench(t);
  const bodies = await open();
  const placed = await bodies.place(withBody(100_000), subject);
  await assert.rejects(createBodyReader({ dirs: { clean: "/nowhere" } }).open(placed.bytes), {
    code: "permission_denied",
  });
  await bodies.close();
});
