import assert from "node:assert/strict";
import { test } from "node:test";
import { Event } from "@millrace/proto/event";
import { Stream } from "@millrace/proto/stream";
import { Trigger } from "@millrace/proto/trigger";
import { AnonymizedContent, type AnonymizeRequest } from "@millrace/proto/work";
import { actOnEvent } from "../handlers/act-on-event.js";
import type { ActionOutcome } from "./action.js";
import { anonymizeMentioned } from "./anonymize-mentioned.js";
import { createTargetGate } from "./target-gate.js";

const keeping = Stream.fromPartial({ name: "s", outputs: { artifacts: true } });
const violation = (count: number, messagesOmitted = 0): Event => {
  const messages = Array.from({ length: count }, (_, at) => ({ messageId: `m${at}` }));
  const value = { counts: { EMAIL: count }, messages, messagesOmitted };
  return Event.fromPartial({
    id: "e1",
    type: "privacy_violation",
    stream: "s",
    payload: { $case: "privacyViolation", value },
  });
};

interface Ran {
  outcome: ActionOutcome;
  asked: AnonymizeRequest[];
}

async function run(event: Event, { stream = keeping, missing = "" } = {}): Promise<Ran> {
  const asked: AnonymizeRequest[] = [];
  const { signal } = new AbortController();
  const parts = {
    registry: { find: async () => stream },
    anonymize: async (request: AnonymizeRequest) => {
      asked.push(request);
      const contents = request.targets.map(({ contentId }) =>
        AnonymizedContent.fromPartial({ missing: contentId === missing }),
      );
      return { contents };
    },
  };
  return { outcome: await anonymizeMentioned(parts, { tenant: "default", event, signal }), asked };
}

test("each content that an event names is cleaned, some at a time; others are counted", async () => {
  const { outcome, asked } = await run(violation(120, 7));
  assert.deepEqual(outcome, { kind: "done", unnamed: 7 });
  const ids = asked.flatMap(({ targets }) => targets.map(({ contentId }) => contentId));
  assert.equal(new Set(ids).size, 120);
  assert.ok(asked.every(({ targets, stream }) => targets.length <= 100 && stream === "s"));
});

test("a notification leads to the contents that it was made from", async () => {
  const value = { channel: "privacy-team", messages: [{ messageId: "m1" }, { messageId: "m2" }] };
  const notice = Event.fromPartial({ stream: "s", payload: { $case: "notification", value } });
  const { outcome, asked } = await run(notice);
  assert.deepEqual(outcome, { kind: "done", unnamed: 0 });
  assert.deepEqual(
    asked.flatMap(({ targets }) => targets.map(({ contentId }) => contentId)),
    ["m1", "m2"],
  );
});

test("what is not there may come, unless nothing is kept or nothing is named", async () => {
  assert.deepEqual((await run(violation(3), { missing: "m1" })).outcome, {
    kind: "absent",
    reason: "content_missing",
    mayCome: true,
  });
  const value = { channel: "privacy-team", messages: [] };
  const notice = Event.fromPartial({ stream: "s", payload: { $case: "notification", value } });
  const none = await run(notice);
  assert.deepEqual(none, { outcome: { kind: "absent", reason: "no_content", mayCome: false }, asked: [] });
  const stream = Stream.fromPartial({ name: "s", outputs: { search: true } });
  const unkept = await run(violation(1), { stream });
  assert.deepEqual(unkept.outcome, { kind: "absent", reason: "nothing_kept", mayCome: false });
});

test("an event whose content never comes is settled after the last try, counted by its reason", async () => {
  const told: unknown[] = [];
  const gate = createTargetGate({ monotonic: () => 0, sleep: async () => undefined, pauseMs: () => 1_000 });
  const handle = actOnEvent({
    tenant: "default",
    trigger: Trigger.fromPartial({ id: "t", action: { $case: "anonymize", value: {} } }),
    act: async (call) => (await run(call.event, { missing: "m0" })).outcome,
    gate,
    retryDelaysMs: [40],
    random: () => 1,
    bury: async () => assert.fail("it is no dead letter"),
    onOutcome: ({ kind }) => told.push(kind),
    onLeft: (reason, count) => told.push([reason, count]),
  });
  const signals = { stopping: new AbortController().signal, hard: new AbortController().signal };
  for (const attempt of [1, 2]) {
    const delivery = {
      subject: "event.default.s.privacy_violation",
      data: Event.encode(violation(2)).finish(),
      seq: 1,
      attempt,
      working: () => undefined,
      ack: async () => void told.push("ack"),
      later: (delayMs: number) => void told.push(delayMs),
    };
    await handle(delivery, signals);
  }
  assert.deepEqual(told, ["absent", 40, "absent", ["content_missing", 1], "ack"]);
  assert.equal(gate.isFailing(), false);
});
