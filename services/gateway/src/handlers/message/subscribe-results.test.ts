import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import type { ServiceError } from "@grpc/grpc-js";
import { messageId } from "@millrace/envelope";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { createPublisher, subjects } from "@millrace/messaging";
import { Batch, Lane } from "@millrace/proto/batch";
import { Event, EventServiceClient, type WatchEventsResponse } from "@millrace/proto/event";
import {
  GapReason,
  Priority,
  SlowConsumer,
  StartAt,
  SubscribeRequest,
  type SubscribeResponse,
  SubscribeServiceClient,
} from "@millrace/proto/message";
import { fromStatus } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { answer, insecure, type RunningGateway, startGateway } from "../../testing.js";

let running: RunningGateway;
let address: string;

before(async () => {
  running = await startGateway();
  address = running.address;
});

after(() => running?.stop());

const create: RunningGateway["create"] = (name, given) => running.create(name, given);
const streams = () => running.streams;

/** Publishes a result as output does. */
async function storeResult(stream: string, texts: string[], from = 0): Promise<number> {
  const open = buildBatch({ stream, texts, from });
  const { seq } = await createPublisher(running.output).publish({
    subject: subjects.result("default", stream),
    data: Batch.encode(inlineBatch(open)).finish(),
    id: Buffer.from(open.header.id).toString("hex"),
  });
  return seq;
}

interface Subscribed {
  responses: SubscribeResponse[];
  texts(): unknown[];
  token(): string;
  error(): ServiceError | undefined;
  pause(): void;
  resume(): void;
  cancel(): void;
}

function subscribe(request: Parameters<typeof SubscribeRequest.fromPartial>[0]): Subscribed {
  const responses: SubscribeResponse[] = [];
  let failed: ServiceError | undefined;
  const call = new SubscribeServiceClient(address, insecure).subscribe(SubscribeRequest.fromPartial(request));
  call.on("data", (response: SubscribeResponse) => responses.push(response));
  call.on("error", (error: ServiceError) => (failed = error));
  return {
    responses,
    texts: () => responses.flatMap(({ messages }) => messages.map(({ content }) => content?.value)),
    token: () => responses.at(-1)?.resumeToken ?? "",
    error: () => failed,
    pause: () => call.pause(),
    resume: () => call.resume(),
    cancel: () => call.cancel(),
  };
}

const reading = (subscribed: Subscribed, count: number) =>
  eventually(() => subscribed.texts().length >= count, { what: `${count} messages are read` });
const opening = ({ responses }: Subscribed) =>
  eventually(() => responses.length > 0, { what: "it is listened for" });
const failing = (subscribed: Subscribed) => eventually(() => subscribed.error(), { what: "it fails" });

test("a stream made anew under its old name keeps none of the old results", async () => {
  const first = await create("anew");
  await storeResult("anew", ["old"]);
  await answer((done) => streams().deleteStream({ name: "anew" }, done));
  await assert.rejects(
    answer((done) => streams().getStream({ name: "anew" }, done)),
    { code: "not_found", field: "name", remedy: "Create it with CreateStream." },
  );
  const second = await create("anew");
  assert.ok(second.createdMs > first.createdMs);
  const earliest = subscribe({ stream: "anew", startAt: StartAt.START_AT_EARLIEST });
  await opening(earliest);
  await storeResult("anew", ["new"], 1);
  await reading(earliest, 1);
  assert.deepEqual(earliest.texts(), ["new"]);
  earliest.cancel();
});

test("a subscriber hears what comes from now on, as messages with their ids", async () => {
  await create("now");
  await storeResult("now", ["before"]);
  const subscribed = subscribe({ stream: "now" });
  await opening(subscribed);
  await storeResult("now", ["a", "b"], 5);
  await reading(subscribed, 2);
  assert.deepEqual(subscribed.texts(), ["a", "b"]);
  const [message] = subscribed.responses.flatMap(({ messages }) => messages);
  const of = { tenant: "default", stream: "now", source: "0".repeat(32) };
  assert.equal(message?.id, messageId(of, 5));
  assert.deepEqual(message?.position, { source: of.source, offset: 5 });
  subscribed.cancel();
});

test("a resumed subscriber goes on right behind what it read, with neither gap nor repeat", async () => {
  await create("resume");
  await storeResult("resume", ["a", "b"]);
  const first = subscribe({ stream: "resume", startAt: StartAt.START_AT_EARLIEST });
  await reading(first, 2);
  const token = first.token();
  first.cancel();
  await storeResult("now-other", ["x"]);
  await storeResult("resume", ["c"], 2);
  const second = subscribe({ stream: "resume", resumeToken: token });
  await reading(second, 1);
  await storeResult("resume", ["d"], 3);
  await reading(second, 2);
  assert.deepEqual(second.texts(), ["c", "d"]);
  assert.ok(second.responses.every(({ gap }) => gap === undefined));
  second.cancel();
});

test("results that are gone before they were read are told as a gap with a count", async () => {
  await create("gap");
  await storeResult("gap", ["a"]);
  const first = subscribe({ stream: "gap", startAt: StartAt.START_AT_EARLIEST });
  await reading(first, 1);
  first.cancel();
  await storeResult("gap", ["b"], 1);
  const kept = await storeResult("gap", ["c"], 2);
  const purge = { filter: subjects.result("default", "gap"), seq: kept };
  await running.output.manager.streams.purge("RESULT", purge);
  const second = subscribe({ stream: "gap", resumeToken: first.token() });
  await reading(second, 1);
  assert.deepEqual(second.texts(), ["c"]);
  assert.equal(second.responses.find(({ gap }) => gap !== undefined)?.gap?.batches, 1);
  second.cancel();
});

test("only the wanted source ids are read", async () => {
  await create("picked");
  const subscribed = subscribe({ stream: "picked", sourceIds: ["y"] });
  await opening(subscribed);
  const open = buildBatch({ stream: "picked", texts: ["a", "b"], sourceIds: ["x", "y"] });
  await createPublisher(running.output).publish({
    subject: subjects.result("default", "picked"),
    data: Batch.encode(inlineBatch(open)).finish(),
    id: "picked",
  });
  await reading(subscribed, 1);
  assert.deepEqual(subscribed.texts(), ["b"]);
  subscribed.cancel();
});

test("a stalled subscriber who conflates reads the last message of each source", async () => {
  await create("conflated");
  const first = await storeResult("conflated", ["a"]);
  const subscribed = subscribe({ stream: "conflated", slowConsumer: SlowConsumer.SLOW_CONSUMER_CONFLATE });
  await opening(subscribed);
  subscribed.pause();
  // More than the connection's windows and buffers hold.
  const large = "x".repeat(40_000);
  for (let number = 1; number <= 150; number++)
    await storeResult("conflated", [`${number} ${large}`], first + number);
  subscribed.resume();
  await eventually(() => String(subscribed.texts().at(-1)).startsWith("150 "), {
    what: "the last one comes",
  });
  const gaps = subscribed.responses.flatMap(({ gap }) => (gap === undefined ? [] : [gap]));
  const missed = gaps.reduce((sum, { messages }) => sum + messages, 0);
  assert.ok(missed > 0);
  assert.equal(missed + subscribed.texts().length, 150);
  assert.ok(gaps.every(({ reason }) => reason === GapReason.GAP_REASON_CONFLATED));
  subscribed.cancel();
});

test("a filter picks by attribute, kind, priority and finding", async () => {
  await create("filtered");
  const wanted = { attributes: { room: "2" }, kinds: ["text"], priority: Priority.PRIORITY_HIGH };
  const subscribed = subscribe({ stream: "filtered", filter: wanted });
  const none = subscribe({ stream: "filtered", filter: { findingTypes: ["EMAIL"] } });
  await Promise.all([opening(subscribed), opening(none)]);
  const open = buildBatch({ stream: "filtered", texts: ["a", "b"] });
  const attributes = [{ name: "room", rows: [0, 1], values: ["1", "2"] }];
  const columns = { ...open.columns, attributes };
  const header = { ...open.header, lane: Lane.LANE_HIGH };
  await createPublisher(running.output).publish({
    subject: subjects.result("default", "filtered"),
    data: Batch.encode(inlineBatch({ ...open, header, columns })).finish(),
    id: "filtered",
  });
  await reading(subscribed, 1);
  assert.deepEqual(subscribed.texts(), ["b"]);
  assert.deepEqual(none.texts(), []);
  for (const each of [subscribed, none]) each.cancel();
});

test("bad subscriptions are refused by field", async () => {
  await create("silent", { outputs: { events: true } });
  await create("bad");
  const cases: [request: Parameters<typeof SubscribeRequest.fromPartial>[0], code: string, field: string][] =
    [
      [{ stream: "nowhere" }, "not_found", "stream"],
      [{ stream: "No" }, "invalid_argument", "stream"],
      [{ stream: "silent" }, "failed_precondition", "stream"],
      [{ stream: "bad", resumeToken: "???" }, "invalid_argument", "resume_token"],
      [{ stream: "bad", startAt: 9 as StartAt }, "invalid_argument", "start_at"],
      [{ stream: "bad", slowConsumer: 9 as SlowConsumer }, "invalid_argument", "slow_consumer"],
      [{ stream: "bad", filter: { kinds: ["video"] } }, "invalid_argument", "filter.kinds"],
      [{ stream: "bad", filter: { findingTypes: ["NAME?"] } }, "invalid_argument", "filter.finding_types"],
    ];
  for (const [request, code, field] of cases) {
    const error = fromStatus(await failing(subscribe(request)), "subscribe");
    assert.deepEqual([error.code, error.field], [code, field]);
    assert.ok(error.remedy);
  }
});

test("a subscription ends when its stream is deleted", async () => {
  await create("deleted");
  const subscribed = subscribe({ stream: "deleted" });
  await opening(subscribed);
  await answer((done) => streams().deleteStream({ name: "deleted" }, done));
  assert.equal(fromStatus(await failing(subscribed), "subscribe").code, "not_found");
});

test("events are watched by type and resumed", async () => {
  await create("eventful");
  const tell = async (id: string, type: string) => {
    const event = Event.fromPartial({ id, type, stream: "eventful", timeMs: 1 });
    const subject = subjects.event("default", "eventful", type);
    await createPublisher(running.output).publish({ subject, data: Event.encode(event).finish(), id });
  };
  const watch = (resumeToken: string) => {
    const responses: WatchEventsResponse[] = [];
    const request = { stream: "eventful", types: ["dead_letter"], resumeToken };
    const call = new EventServiceClient(address, insecure).watchEvents(request);
    call.on("data", (response: WatchEventsResponse) => responses.push(response));
    call.on("error", () => undefined);
    const ids = () => responses.flatMap(({ events }) => events.map(({ id }) => id));
    return { responses, ids, cancel: () => call.cancel() };
  };
  const first = watch("");
  await eventually(() => first.responses.length > 0, { what: "it is listened for" });
  await tell("e1", "dead_letter");
  await tell("e2", "new_data");
  await eventually(() => first.ids().length === 1, { what: "the event comes" });
  first.cancel();
  await tell("e3", "dead_letter");
  const second = watch(first.responses.at(-1)?.resumeToken ?? "");
  await eventually(() => second.ids().length === 1, { what: "the next one comes" });
  assert.deepEqual([first.ids(), second.ids()], [["e1"], ["e3"]]);
  second.cancel();
});
