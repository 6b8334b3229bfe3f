import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import type { JsMsg } from "@nats-io/jetstream";
import { createSuspects } from "./suspects.js";

const never = new AbortController().signal;
const message = (): JsMsg => ({}) as JsMsg;

function counted() {
  const counts = { ended: 0, away: false };
  const write = (by: number) => async () => {
    if (counts.away) throw new CodedError("unavailable", "count attempt: no answer from the broker");
    counts.ended += by;
  };
  return { counts, suspects: createSuspects({ enter: write(1), leave: write(-1) }) };
}

test("one suspect is worked on at a time, whatever comes of the one before", async () => {
  const { counts, suspects } = counted();
  let underWay = 0;
  const ran = [1, 2, 3].map((n) =>
    suspects.alone(message(), never, async () => {
      assert.equal(++underWay, 1);
      assert.equal(counts.ended, n === 3 ? 2 : 1, "passed ones are settled and forgotten by others");
      await new Promise((resolve) => setImmediate(resolve));
      underWay -= 1;
      if (n === 1) throw new CodedError("resource_exhausted", "the stream is full");
    }),
  );
  const outcomes = await Promise.allSettled(ran);
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled"],
  );
});

test("one that waits is not entered, and is entered once though the broker did not hear of it", async () => {
  const { counts, suspects } = counted();
  const waiting = message();
  for (let round = 0; round < 5; round++) {
    const ran = suspects.alone(waiting, never, async () => {
      counts.away = round % 2 === 0;
      throw new CodedError("unavailable", "publish: no answer");
    });
    await assert.rejects(ran, { code: "unavailable" });
    assert.equal(counts.ended, counts.away ? 1 : 0, `round ${round}`);
    counts.away = false;
  }
});

test("one in line is given up by a hard stop before it is entered", async () => {
  const { counts, suspects } = counted();
  const stopped = AbortSignal.abort();
  await assert.rejects(
    suspects.alone(message(), stopped, async () => assert.fail("never worked on")),
    { code: "canceled" },
  );
  assert.equal(counts.ended, 0);
});
