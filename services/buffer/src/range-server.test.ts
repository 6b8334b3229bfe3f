import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { decodeBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import type { SegmentRange } from "@millrace/proto/batch";
import { createRangeClient, type GrpcServer, parseConfig } from "@millrace/runtime";
import { testRuntime } from "@millrace/runtime/testing";
import { createBodyReader, openBodyStore, type PlacedBatch } from "@millrace/segments";
import { bufferConfig } from "./config.js";
import { rangeServers } from "./range-server.js";

const never = new AbortController().signal;
const sides = ["raw", "clean"] as const;
type Side = (typeof sides)[number];
const otherThan = (side: Side): Side => (side === "raw" ? "clean" : "raw");

/** A directory with a body in a segment of buffer. */
async function sideOf(t: TestContext, side: Side, node: string, text: string) {
  const dir = mkdtempSync(join(tmpdir(), `millrace-${node}-${side}-`));
  const bodies = await openBodyStore({
    sideDir: dir,
    side,
    owner: "buffer-0",
    node,
    segmentBytes: 4 * 1024 * 1024,
    liveBytesMax: 16 * 1024 * 1024,
    monotonic: () => 0,
  });
  const placed = await bodies.place(buildBatch({ texts: [text] }), `${side}.batch.any.t.s`);
  t.after(async () => {
    await bodies.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return { dir, placed };
}

/** A node with a body in each side, and both of its listeners. */
async function nodeOf(t: TestContext, node: string, text: string) {
  const [raw, clean] = [await sideOf(t, "raw", node, text), await sideOf(t, "clean", node, text)];
  const listen = { host: "127.0.0.1", port: 0 };
  const given = { node, rawRead: listen, cleanRead: listen };
  const segments = { rawDir: raw.dir, cleanDir: clean.dir };
  const config = parseConfig(bufferConfig, { ...given, segments }, "test");
  const components = rangeServers(config, testRuntime(), () => true);
  for (const component of components) await component.start?.();
  const [rawServer, cleanServer] = components.filter(({ name }) => name === "grpc-server") as GrpcServer[];
  const addressOf = (server: GrpcServer | undefined): string => `127.0.0.1:${server?.port()}`;
  t.after(async () => {
    for (const component of components.toReversed()) await component.stop?.(never);
  });
  return {
    raw: { ...raw, address: addressOf(rawServer) },
    clean: { ...clean, address: addressOf(cleanServer) },
  };
}

function clientOf(t: TestContext, peers: Record<string, string>) {
  const client = createRangeClient({ peers, runtime: testRuntime() });
  t.after(() => client.stop?.(never));
  return client;
}

function rangeOf(placed: PlacedBatch): SegmentRange {
  const { body } = decodeBatch(placed.bytes);
  return body?.$case === "range" ? body.value : assert.fail("the body lies in a segment");
}

/** Above two pieces, and no multiple of one. */
const long = (letter: string): string => letter.repeat(1_234_567);

for (const side of sides) {
  test(`a reader finds its own node's ${side} bodies on the disk, another's over the network`, async (t) => {
    const [one, two] = [await nodeOf(t, "one", long("a")), await nodeOf(t, "two", long("b"))];
    const client = clientOf(t, { two: two[side].address });
    const fetched: string[] = [];
    const reader = createBodyReader({
      dirs: { [side]: one[side].dir },
      node: "one",
      fetch: (range) => {
        fetched.push(range.node);
        return client.fetch(range);
      },
    });
    for (const [{ placed }, text] of [
      [one[side], long("a")],
      [two[side], long("b")],
    ] as const) {
      const open = await reader.open(placed.bytes);
      assert.equal(Buffer.from(open.body).toString(), text);
      reader.release(open);
    }
    assert.deepEqual(fetched, ["two"]);
    await reader.close();
  });

  test(`the listener of the ${side} side hands out nothing but sound ranges of it`, async (t) => {
    const node = await nodeOf(t, "one", long("a"));
    const { address } = node[side];
    const { fetch } = clientOf(t, { one: address, two: address });
    const range = rangeOf(node[side].placed);
    await assert.rejects(fetch({ ...range, node: "two" }), { code: "invalid_argument" });
    await assert.rejects(fetch(rangeOf(node[otherThan(side)].placed)), { code: "permission_denied" });
    await assert.rejects(fetch({ ...range, log: `${side}/../..` }), { code: "permission_denied" });
    await assert.rejects(fetch({ ...range, segment: 99 }), { code: "not_found" });
    await assert.rejects(fetch({ ...range, crc32: (range.crc32 ^ 1) >>> 0 }), { code: "data_loss" });
    assert.equal((await fetch(range)).length, range.length);
  });

  test(`a ${side} body that was altered on its disk is data loss to a reader elsewhere`, async (t) => {
    const node = await nodeOf(t, "one", long("a"));
    const { dir, placed, address } = node[side];
    const range = rangeOf(placed);
    const [name = ""] = readdirSync(join(dir, "buffer-0")).filter((file) => file.endsWith(".seg"));
    const path = join(dir, "buffer-0", name);
    const bytes = readFileSync(path);
    bytes.writeUInt8(bytes.readUInt8(range.offset + 600_000) ^ 1, range.offset + 600_000);
    writeFileSync(path, bytes);
    const reader = createBodyReader({ dirs: {}, node: "two", fetch: clientOf(t, { one: address }).fetch });
    await assert.rejects(reader.open(placed.bytes), { code: "data_loss" });
  });
}

test("what arrives altered is data loss, and a node without an address is said to be none", async (t) => {
  const { placed } = await sideOf(t, "clean", "one", long("a"));
  const altering = createBodyReader({
    dirs: {},
    node: "two",
    fetch: async (range) => new Uint8Array(range.length),
  });
  await assert.rejects(altering.open(placed.bytes), { code: "data_loss" });
  const alone = createBodyReader({ dirs: {}, node: "two" });
  await assert.rejects(alone.open(placed.bytes), { code: "unavailable", field: "peers" });
  const knowingNobody = createBodyReader({ dirs: {}, node: "two", fetch: clientOf(t, {}).fetch });
  await assert.rejects(knowingNobody.open(placed.bytes), { code: "unavailable", field: "peers" });
});

test("nothing is served unless the config says where", () => {
  assert.deepEqual(
    rangeServers(parseConfig(bufferConfig, {}, "test"), testRuntime(), () => true),
    [],
  );
});
