import assert from "node:assert/strict";
import test from "node:test";
import { SegmentRange } from "@millrace/proto/batch";
import { systemClock } from "../clock.js";
import { createRangeClient } from "./range-client.js";

for (const [log, listener] of [
  ["raw/buffer-0", "rawRead"],
  ["clean/privacy-0", "cleanRead"],
] as const) {
  test(`a node without an address waits, and the remedy names its ${listener}`, async () => {
    const { fetch } = createRangeClient({ two: "127.0.0.1:1" }, systemClock);
    await assert.rejects(fetch(SegmentRange.create({ node: "one", log })), {
      code: "unavailable",
      field: "peers",
      remedy: `Add "one": the host:port of ${listener} of the buffer there.`,
    });
  });
}

test("a node that is away is unavailable", async (t) => {
  const client = createRangeClient({ one: "127.0.0.1:1" }, systemClock);
  t.after(() => client.stop?.(new AbortController().signal));
  await assert.rejects(client.fetch(SegmentRange.create({ node: "one", log: "clean/privacy-0" })), {
    code: "unavailable",
  });
});
