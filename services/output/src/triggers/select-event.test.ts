import assert from "node:assert/strict";
import { test } from "node:test";
import { Event } from "@millrace/proto/event";
import { Priority } from "@millrace/proto/message";
import { Filter } from "@millrace/proto/trigger";
import { selectEvent } from "./select-event.js";

const violation = Event.fromPartial({
  type: "privacy_violation",
  payload: {
    $case: "privacyViolation",
    value: {
      counts: { EMAIL: 5, CARD: 1 },
      messages: [
        { messageId: "m1", sourceId: "a", counts: { EMAIL: 2, CARD: 1 } },
        { messageId: "m2", sourceId: "b", counts: { EMAIL: 1 } },
      ],
      messagesOmitted: 1,
    },
  },
});
const fresh = Event.fromPartial({
  payload: {
    $case: "newData",
    value: { priority: Priority.PRIORITY_HIGH, messages: [{ messageId: "m1", sourceId: "a" }] },
  },
});
const near = Event.fromPartial({
  payload: {
    $case: "similarityThreshold",
    value: { threshold: 0.8, pairs: [0.85, 0.95].map((score) => ({ content: { sourceId: "a" }, score })) },
  },
});
const select = (event: Event, filter: object) =>
  selectEvent(event, Filter.fromPartial(filter))?.payload?.value;

test("of a violation the types and sources that are wanted are told, those not listed by type", () => {
  assert.deepEqual(select(violation, { findingTypes: ["EMAIL"] }), {
    counts: { EMAIL: 5 },
    messages: [
      { messageId: "m1", sourceId: "a", counts: { EMAIL: 2 } },
      { messageId: "m2", sourceId: "b", counts: { EMAIL: 1 } },
    ],
    messagesOmitted: 1,
  });
  const ofA = { messageId: "m1", sourceId: "a", counts: { CARD: 1 } };
  assert.deepEqual(select(violation, { findingTypes: ["CARD"], sourceIds: ["a"] }), {
    counts: { CARD: 1 },
    messages: [ofA],
    messagesOmitted: 0,
  });
  for (const none of [{ findingTypes: ["IBAN"] }, { findingTypes: ["CARD"], sourceIds: ["b"] }])
    assert.equal(select(violation, none), undefined);
});

test("what is set and not a field of the event's type lets nothing pass, what is not set everything", () => {
  assert.equal(select(fresh, { priority: Priority.PRIORITY_BATCH }), undefined);
  assert.deepEqual(select(fresh, { priority: Priority.PRIORITY_HIGH }), fresh.payload?.value);
  assert.equal(select(fresh, { minScore: 0.1 }), undefined);
  assert.equal(select(violation, { channels: ["x"] }), undefined);
  assert.equal(selectEvent(violation, undefined), violation);
  const pairs = select(near, { minScore: 0.9 }) as { pairs: { score: number }[] } | undefined;
  assert.deepEqual(
    pairs?.pairs.map(({ score }) => Math.round(score * 100)),
    [95],
  );
});
