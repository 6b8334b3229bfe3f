import assert from "node:assert/strict";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { type HeldLetter, triggerLetters } from "@millrace/messaging";
import { Trigger, TriggerLetter } from "@millrace/proto/trigger";
import type { ActionCall, ActionOutcome } from "./triggers/action.js";
import { triggerShelf } from "./trigger-shelf.js";

/** One of every stream, as it is set now and as it was when it gave up. */
const now = Trigger.fromPartial({ id: "hook", action: { $case: "nats", value: { name: "new" } } });
const subject = triggerLetters({ tenant: "default", stream: "", id: "hook" });
const letter = (more: Parameters<typeof TriggerLetter.fromPartial>[0] = {}): Uint8Array =>
  TriggerLetter.encode(
    TriggerLetter.fromPartial({
      trigger: { ...now, action: { $case: "nats", value: { name: "old" } } },
      event: { id: "e1", type: "new_data", stream: "orders" },
      code: "unavailable",
      reason: "the target answered 503",
      attempts: 8,
      ...more,
    }),
  ).finish();

interface Held {
  held: HeldLetter;
  calls: ActionCall[];
}

function hold(data: Uint8Array, trigger: Trigger | undefined, act: () => Promise<ActionOutcome>): Held {
  const calls: ActionCall[] = [];
  const triggers = { get: () => trigger };
  const shelf = triggerShelf({
    triggers,
    act: (call) => {
      calls.push(call);
      return act();
    },
  });
  return { held: shelf.open({ subject, data }), calls };
}

const done = async (): Promise<ActionOutcome> => ({ kind: "done" });
const { signal } = new AbortController();

test("a letter is redriven by its trigger as that is set now, under the id that it had", async () => {
  const { held, calls } = hold(letter(), now, done);
  const { stream, stage, kind, refusal, trigger } = held.describe();
  assert.deepEqual([stream, stage, kind, refusal], ["orders", "trigger", "event", ""]);
  assert.deepEqual(trigger, { stream: "", id: "hook" });
  assert.equal((await held.show()).event?.id, "e1");
  await held.redrive(signal);
  await held.redrive(signal);
  assert.deepEqual(
    calls.map((call) => call.trigger),
    [now, now],
  );
  assert.equal(new Set(calls.map(({ deliveryId }) => deliveryId)).size, 1);
});

test("what can't be redriven says why and what to do, and is not tried", async () => {
  const refused: [Uint8Array, Trigger | undefined, RegExp, RegExp][] = [
    [letter({ cut: true }), now, /not kept whole/, /discard/],
    [letter(), undefined, /trigger is gone/, /[Cc]reate it again/],
    [letter(), { ...now, paused: true }, /is paused/, /Resume/],
  ];
  for (const [data, trigger, message, remedy] of refused) {
    const { held, calls } = hold(data, trigger, done);
    assert.match(held.describe().refusal, message);
    await assert.rejects(held.redrive(signal), { code: "failed_precondition", field: "id", message, remedy });
    assert.deepEqual(calls, []);
  }
});

test("a try that fails is told with its reason, whatever it fails by", async () => {
  const failing: [() => Promise<ActionOutcome>, RegExp][] = [
    [async () => ({ kind: "failed", reason: "the target answered 500" }), /answered 500/],
    [async () => ({ kind: "gone", reason: "the target answered 410" }), /answered 410/],
    [async () => ({ kind: "absent", reason: "content_missing", mayCome: true }), /content_missing/],
    [() => Promise.reject(new CodedError("unavailable", "kafka: away")), /kafka: away/],
  ];
  // Not one that a client tries again by itself.
  for (const [act, message] of failing)
    await assert.rejects(hold(letter(), now, act).held.redrive(signal), {
      code: "failed_precondition",
      message,
    });
});
