import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { decodeBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { SegmentRange } from "@millrace/proto/batch";
import { RangeServiceClient } from "@millrace/proto/buffer";
import { collect, insecure, internalChannel } from "@millrace/runtime";
import { createBodyReader, openBodyStore, type PlacedBatch } from "@millrace/segments";
import { createRangeServer } from "./range-server.js";

const never = new AbortController().signal;

/** A node with a body in its raw side, and its server of ranges. */
async function nodeOf(t: TestContext, node: string, text: string) {
  const rawDir = mkdtempSync(join(tmpdir(), `millrace-${node}-`));
  const bodies = await openBodyStore({
    sideDir: rawDir,
    side: "raw",
    owner: "buffer-0",
    node,
    segmentBytes: 4 * 1024 * 1024,
    liveBytesMax: 16 * 1024 * 1024,
    monotonic: () => 0,
  });
  const placed = await bodies.place(buildBatch({ texts: [text] }), "raw.batch.any.t.s");
  const listen = { host: "127.0.0.1", port: 0 };
  const served = createBodyReader({ dirs: { raw: rawDir } });
  const server = createRangeServer({ listen, reader: served, node, healthy: () => true });
  await server.start?.();
  const client = new RangeServiceClient(`127.0.0.1:${server.port()}`, insecure, internalChannel);
  t.after(async () => {
    client.close();
    await server.stop?.(never);
    await served.close();
    await bodies.close();
    rmSync(rawDir, { recursive: true, force: true });
  });
  const fetch = async (range: SegmentRange): Promise<Uint8Array> => {
    const pieces = await collect(client.readRange({ range }), `read range of node ${node}`);
    return Buffer.concat(pieces.map(({ data }) => data));
  };
  return { rawDir, placed, fetch, bodies };
}

function rangeOf(placed: PlacedBatch): SegmentRange {
  const { body } = decodeBatch(placed.bytes);
  return body?.$case === "range" ? body.value : assert.fail("the body lies in a segment");
}

/** Above two pieces, and no multiple of one. */
const long = (letter: string): string => letter.repeat(1_234_567);

test("a reader finds its own node's bodies on the disk, those of another over the network", async (t) => {
  const [one, two] = [await nodeOf(t, "one", long("a")), await nodeOf(t, "two", long("b"))];
  const fetched: string[] = [];
  const reader = createBodyReader({
    dirs: { raw: one.rawDir },
    node: "one",
    fetch: (range) => {
      fetched.push(range.node);
      return two.fetch(range);
    },
  });
  for (const [placed, text] of [
    [one.placed, long("a")],
    [two.placed, long("b")],
  ] as const) {
    const open = await reader.open(placed.bytes);
    assert.equal(Buffer.from(open.body).toString(), text);
    reader.release(open);
  }
  assert.deepEqual(fetched, ["two"]);
  await reader.close();
});

test("a node hands out nothing but sound ranges of its own raw side", async (t) => {
  const { placed, fetch, bodies } = await nodeOf(t, "one", long("a"));
  const range = rangeOf(placed);
  await assert.rejects(fetch({ ...range, node: "two" }), { code: "invalid_argument" });
  await assert.rejects(fetch({ ...range, log: "clean/buffer-0" }), { code: "permission_denied" });
  await assert.rejects(fetch({ ...range, log: "raw/../.." }), { code: "permission_denied" });
  await assert.rejects(fetch({ ...range, segment: 99 }), { code: "not_found" });
  await assert.rejects(fetch({ ...range, crc32: (range.crc32 ^ 1) >>> 0 }), { code: "data_loss" });
  assert.equal((await fetch(range)).length, range.length);
  await bodies.release(placed.id);
});

test("what arrives altered is data loss, and a node without an address is said to be none", async (t) => {
  const { placed } = await nodeOf(t, "one", long("a"));
  const altering = createBodyReader({
    dirs: {},
    node: "two",
    fetch: async (range) => new Uint8Array(range.length),
  });
  await assert.rejects(altering.open(placed.bytes), { code: "data_loss" });
  const alone = createBodyReader({ dirs: {}, node: "two" });
  await assert.rejects(alone.open(placed.bytes), { code: "unavailable", field: "peers" });
});
