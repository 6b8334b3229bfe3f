import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { buildBatch } from "@millrace/envelope/testing";
import { Batch, type SegmentRange } from "@millrace/proto/batch";
import { createBodyReader, openBodyStore } from "@millrace/segments";
import { showBatch } from "./show-batch.js";

const room = { countMax: 10, bytesMax: 1024 * 1024 };

/** A body of the clean side, as privacy writes it. */
async function openShown(t: TestContext) {
  const clean = await mkdtemp(join(tmpdir(), "millrace-show-"));
  const bodies = await openBodyStore({
    sideDir: clean,
    side: "clean",
    owner: "privacy-0",
    node: "local",
    monotonic: () => 0,
    segmentBytes: 4 * 1024 * 1024,
    liveBytesMax: 8 * 1024 * 1024,
  });
  const reader = createBodyReader({ dirs: { clean }, node: "local" });
  t.after(async () => {
    await reader.close();
    await bodies.close();
    await rm(clean, { recursive: true, force: true });
  });
  const texts = ["a".repeat(100_000), "b".repeat(60_000), "c".repeat(50_000)];
  const { bytes } = await bodies.place(buildBatch({ texts }), "clean.batch.any.t.s");
  const another = (change: Partial<SegmentRange>): Uint8Array => {
    const batch = Batch.decode(bytes);
    assert.equal(batch.body?.$case, "range");
    const value = { ...(batch.body?.value as SegmentRange), ...change };
    return Batch.encode({ ...batch, body: { $case: "range", value } }).finish();
  };
  return { show: showBatch(reader), bytes, texts, another };
}

test("a body in a segment is shown, as far as there is room", async (t) => {
  const { show, bytes, texts } = await openShown(t);
  const all = await show({ batch: bytes, ...room });
  assert.deepEqual(
    all.messages.map(({ content }) => content?.value),
    texts,
  );
  const some = await show({ batch: bytes, ...room, bytesMax: 150_000 });
  assert.deepEqual([some.messages.length, some.dropped, some.unseen], [2, 1, 0]);
  const one = await show({ batch: bytes, ...room, countMax: 1 });
  assert.deepEqual([one.messages.length, one.dropped], [1, 2]);
});

test("what is gone, holds something else by now, or was never clean is not shown", async (t) => {
  const { show, another } = await openShown(t);
  for (const [change, code] of [
    [{ segment: 99 }, "not_found"],
    [{ crc32: 1 }, "data_loss"],
    [{ log: "raw/buffer-0" }, "permission_denied"],
    [{ log: "clean/../raw" }, "permission_denied"],
  ] as const)
    await assert.rejects(show({ batch: another(change), ...room }), { code });
});

test("few bodies are read at once, whoever asks", async (t) => {
  const { show, bytes } = await openShown(t);
  const asked = await Promise.allSettled([1, 2, 3].map(() => show({ batch: bytes, ...room })));
  assert.deepEqual(
    asked.map(({ status }) => status),
    ["fulfilled", "fulfilled", "rejected"],
  );
  assert.equal((await show({ batch: bytes, ...room })).messages.length, 3);
});
