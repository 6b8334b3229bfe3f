import assert from "node:assert/strict";
import test from "node:test";
import { SegmentRange } from "@millrace/proto/batch";
import { createRangeClient } from "./range-client.js";
import { createRangeServer } from "./range-server.js";
import { testRuntime } from "../testing/test-runtime.js";

const runtime = testRuntime();

for (const [log, listener] of [
  ["raw/buffer-0", "rawRead"],
  ["clean/privacy-0", "cleanRead"],
] as const) {
  test(`a node without an address waits, and the remedy names its ${listener}`, async () => {
    const { fetch } = createRangeClient({ peers: { two: "127.0.0.1:1" }, runtime });
    await assert.rejects(fetch(SegmentRange.create({ node: "one", log })), {
      code: "unavailable",
      field: "peers",
      remedy: `Add "one": the host:port of ${listener} there; or set peerAddress.`,
    });
  });
}

test("a node that is away is unavailable", async (t) => {
  const client = createRangeClient({ peers: { one: "127.0.0.1:1" }, runtime });
  t.after(() => client.stop?.(new AbortController().signal));
  await assert.rejects(client.fetch(SegmentRange.create({ node: "one", log: "clean/privacy-0" })), {
    code: "unavailable",
  });
});

test("a node that nobody named is found by the template, unless its name is none", async (t) => {
  const asked: string[] = [];
  const read = async (range: SegmentRange): Promise<Uint8Array> => {
    asked.push(range.log);
    return Buffer.from("body");
  };
  const listen = { host: "127.0.0.1", port: 0 };
  const server = createRangeServer({
    listen,
    reader: { read },
    side: "clean",
    log: runtime.log,
    node: "127",
    healthy: () => true,
  });
  await server.start?.();
  const peerAddress = `{node}.0.0.1:${server.port()}`;
  const client = createRangeClient({ peers: {}, peerAddress, runtime });
  t.after(async () => {
    await client.stop?.(new AbortController().signal);
    await server.stop?.(new AbortController().signal);
  });
  const range = { node: "127", log: "clean/privacy-0" };
  assert.equal(Buffer.from(await client.fetch(SegmentRange.create(range))).toString(), "body");
  assert.deepEqual(asked, ["clean/privacy-0"]);
  await assert.rejects(client.fetch(SegmentRange.create({ ...range, node: "evil.example/127" })), {
    code: "unavailable",
    field: "peers",
  });
});
