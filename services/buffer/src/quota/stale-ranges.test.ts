import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createLiveBytes, type LiveBytes, sinkBits } from "./live-bytes.js";
import { createStaleRanges } from "./stale-ranges.js";

const of = { tenant: "t", stream: "s" };
const sinks = sinkBits({ results: false, store: true, search: false });
const empty = { count: 0, first: 1, last: 0 };

function take(live: LiveBytes, from: number): void {
  live.take({ ...of, source: "a", createdMs: 1, from, to: from + 10, bytes: 100, sinks }).keep();
}

function setUp(stored: Record<string, { count: number; first: number; last: number }>) {
  const live = createLiveBytes();
  const asked: string[] = [];
  const round = createStaleRanges({
    live,
    placesOf: () => ["RAW", "CLEAN", "ENRICHED"].map((jetStream) => ({ jetStream, filter: jetStream })),
    inspect: async ({ jetStream }) => {
      asked.push(jetStream);
      return stored[jetStream] ?? empty;
    },
  });
  return { live, round, asked, stored };
}

describe("stale ranges", () => {
  it("are cleared when the bus holds nothing of the stream; what is new is left alone", async () => {
    const { live, round, asked } = setUp({});
    take(live, 0);
    await round();
    await round();
    assert.deepEqual(asked, [], "nothing is asked of what may be on its way");
    take(live, 50);
    await round();
    assert.deepEqual([asked, live.bytes(of)], [["RAW", "CLEAN", "ENRICHED"], 100]);
  });

  it("stay while a place holds one that may be theirs", async () => {
    const { live, round, stored } = setUp({ CLEAN: { count: 1, first: 5, last: 9 } });
    take(live, 0);
    for (let rounds = 0; rounds < 5; rounds++) await round();
    assert.equal(live.bytes(of), 100);
    // The stream goes on, but all that was there when the question began is past.
    stored["CLEAN"] = { count: 3, first: 10, last: 12 };
    await round();
    assert.equal(live.bytes(of), 0);
  });

  it("follow what moves on while they are asked", async () => {
    const { live, round, stored } = setUp({ RAW: { count: 1, first: 1, last: 1 } });
    take(live, 0);
    for (let rounds = 0; rounds < 3; rounds++) await round();
    stored["RAW"] = empty;
    stored["ENRICHED"] = { count: 1, first: 7, last: 7 };
    await round();
    assert.equal(live.bytes(of), 100);
    stored["ENRICHED"] = empty;
    await round();
    assert.equal(live.bytes(of), 0);
  });
});
