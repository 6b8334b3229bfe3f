import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CodedError } from "@millrace/errors";
import { createFakeClock } from "@millrace/runtime/testing";
import { createLiveBytes, sinkBits, type SourceRange } from "./live-bytes.js";
import { createStreamQuota } from "./stream-quota.js";

const sinks = sinkBits({ results: false, store: true, search: false });
const gateway = { sender: "gateway", quotaBytes: 100_000, heldBytes: 10 };

function range(stream: string, from: number, bytes = 60_000): SourceRange {
  return { tenant: "t", stream, source: "a", createdMs: 1, from, to: from + 10, bytes, sinks };
}

function setUp() {
  const clock = createFakeClock();
  const live = createLiveBytes();
  const quota = createStreamQuota({
    live,
    quotaOf: () => 100_000,
    now: clock.monotonic,
    sleep: clock.sleep,
    roomWaitMs: 1_000,
    waitingBytesMax: 25,
    lineBytesMax: 25,
    lineMax: 3,
  });
  const settle = (stream: string, to: number): void => {
    live.settled("store", { tenant: "t", stream, source: "a" }, [{ from: 0, to }]);
    live.sweep();
    quota.tick();
  };
  return { clock, live, quota, settle };
}

const isRefusal = (caught: unknown): boolean => {
  assert.ok(caught instanceof CodedError);
  assert.deepEqual([caught.code, caught.subject], ["resource_exhausted", "stream:full"]);
  return (caught.remedy ?? "") !== "" && (caught.retryAfterMs ?? 0) > 0;
};

describe("a stream's quota", () => {
  it("lets one more in than fits, then makes wait, in order, until there is room", async () => {
    const { quota, settle } = setUp();
    (await quota.take(range("full", 0), gateway)).keep();
    (await quota.take(range("full", 10), gateway)).keep();
    assert.equal(quota.usage({ tenant: "t", stream: "full" }).liveBytes, 120_000);
    const order: string[] = [];
    const first = quota.take(range("full", 20), gateway).then(
      (held) => held.keep(),
      () => undefined,
    );
    void first.then(() => order.push("first"));
    const second = quota.take(range("full", 30), gateway).then(
      (held) => held.keep(),
      () => undefined,
    );
    void second.then(() => order.push("second"));
    assert.deepEqual(quota.usage({ tenant: "t", stream: "full" }).waiting, ["gateway"]);
    settle("full", 10);
    await first;
    assert.deepEqual(order, ["first"]);
    settle("full", 30);
    await second;
    assert.deepEqual(order, ["first", "second"]);
  });

  it("refuses after a while, and at once where too much waits in memory", async () => {
    const { clock, quota } = setUp();
    (await quota.take(range("full", 0, 100_000), gateway)).keep();
    const waiting = assert.rejects(quota.take(range("full", 10), gateway), isRefusal);
    await assert.rejects(quota.take(range("full", 20), { ...gateway, heldBytes: 16 }), isRefusal);
    await clock.advance(1_000);
    await waiting;
    assert.equal(quota.usage({ tenant: "t", stream: "full" }).liveBytes, 100_000);
  });

  it("refuses at once whom the stream's line has no place for, by number or by bytes", async () => {
    const { clock, quota } = setUp();
    (await quota.take(range("full", 0, 100_000), gateway)).keep();
    const small = { ...gateway, heldBytes: 1 };
    const standing = [10, 20].map((from) =>
      assert.rejects(quota.take(range("full", from), small), isRefusal),
    );
    await assert.rejects(quota.take(range("full", 30), { ...gateway, heldBytes: 24 }), isRefusal);
    standing.push(assert.rejects(quota.take(range("full", 40), small), isRefusal));
    await assert.rejects(quota.take(range("full", 50), small), isRefusal);
    await clock.advance(1_000);
    await Promise.all(standing);
  });

  it("of a full stream holds up no other", async () => {
    const { quota } = setUp();
    (await quota.take(range("full", 0, 100_000), gateway)).keep();
    void quota.take(range("full", 10), gateway).catch(() => undefined);
    (await quota.take(range("other", 0, 99_000), gateway)).keep();
    assert.deepEqual(quota.usage({ tenant: "t", stream: "other" }).waiting, []);
  });

  it("names who waits, until there is room and nobody stands in line", async () => {
    const { clock, quota, settle } = setUp();
    const of = { tenant: "t", stream: "full" };
    (await quota.take(range("full", 0, 100_000), gateway)).keep();
    const refused = [gateway, { ...gateway, sender: "ingestion" }].map((by, at) =>
      assert.rejects(quota.take(range("full", 10 * (at + 1)), by), isRefusal),
    );
    await clock.advance(1_000);
    await Promise.all(refused);
    quota.tick();
    assert.deepEqual(quota.usage(of).waiting, ["gateway", "ingestion"]);
    settle("full", 10);
    assert.deepEqual([quota.usage(of).waiting, quota.streams()], [[], []]);
  });

  it("forgets senders that ask no more, though it is still full", async () => {
    const { clock, quota } = setUp();
    (await quota.take(range("full", 0, 100_000), gateway)).keep();
    const refused = assert.rejects(quota.take(range("full", 10), gateway), isRefusal);
    await clock.advance(1_000);
    await refused;
    await clock.advance(10_001);
    quota.tick();
    assert.deepEqual(quota.usage({ tenant: "t", stream: "full" }).waiting, []);
  });
});
