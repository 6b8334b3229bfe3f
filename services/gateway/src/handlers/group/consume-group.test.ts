import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import type { ClientDuplexStream, ServiceError } from "@grpc/grpc-js";
import { type BatchToBuild, buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { createPublisher, subjects } from "@millrace/messaging";
import { Batch, DeadLetter, Lane } from "@millrace/proto/batch";
import {
  ConsumeRequest,
  type ConsumeResponse,
  type Delivery,
  GroupServiceClient,
  type ListGroupsResponse,
  Open,
  Settle,
} from "@millrace/proto/group";
import { Priority, StartAt } from "@millrace/proto/message";
import { fromStatus } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { answer, insecure, type RunningGateway, startGateway } from "../../testing.js";

let running: RunningGateway;
let groups: GroupServiceClient;

before(async () => {
  running = await startGateway();
  groups = new GroupServiceClient(running.address, insecure);
});

after(async () => {
  groups?.close();
  await running?.stop();
});

const storeResult = (stream: string, texts: string[], from = 0): Promise<number> =>
  storeBatch({ stream, texts, from });

async function storeBatch(of: BatchToBuild): Promise<number> {
  const open = buildBatch(of);
  const { seq } = await createPublisher(running.output).publish({
    subject: subjects.result("default", open.header.stream),
    data: Batch.encode(inlineBatch(open)).finish(),
    id: Buffer.from(open.header.id).toString("hex"),
  });
  return seq;
}

type AskedOpen = Parameters<typeof Open.fromPartial>[0];

interface Member {
  call: ClientDuplexStream<ConsumeRequest, ConsumeResponse>;
  responses: ConsumeResponse[];
  deliveries: Delivery[];
  texts(): string[];
  settle(settle: Parameters<typeof Settle.fromPartial>[0]): void;
  error(): ServiceError | undefined;
}

/** A member that settles what it is told to; the rest stays in its hand. */
function join(open: AskedOpen, onDelivery: (delivery: Delivery, member: Member) => void = () => undefined) {
  const call = groups.consume();
  let failed: ServiceError | undefined;
  const member: Member = {
    call,
    responses: [],
    deliveries: [],
    texts: () => member.deliveries.map(({ message }) => String(message?.content?.value)),
    settle: (settle) => {
      const value = Settle.fromPartial(settle);
      call.write({ kind: { $case: "settle", value } });
    },
    error: () => failed,
  };
  call.on("data", (response: ConsumeResponse) => {
    member.responses.push(response);
    for (const delivery of response.deliveries) {
      member.deliveries.push(delivery);
      onDelivery(delivery, member);
    }
  });
  call.on("error", (error: ServiceError) => (failed = error));
  call.write(ConsumeRequest.fromPartial({ kind: { $case: "open", value: Open.fromPartial(open) } }));
  return member;
}

const opened = (member: Member) =>
  eventually(() => member.responses.length > 0, { what: "the member is let in" });
const list = (stream: string) => answer<ListGroupsResponse>((done) => groups.listGroups({ stream }, done));

test("a failing message of a batch of 1,000 repeats no other, and ends as a dead letter", async () => {
  await running.create("thousand");
  const texts = Array.from({ length: 1_000 }, (_, at) => `text ${at}`);
  await storeResult("thousand", texts);
  const retry = { delay: { seconds: 0, nanos: 0 }, reason: "handler failed" };
  const open = {
    stream: "thousand",
    group: "g",
    credits: 2_000,
    maxAttempts: 3,
    startAt: StartAt.START_AT_EARLIEST,
  };
  const member = join(open, ({ item, message }, { settle }) => {
    if (message?.content?.value === "text 500") settle({ retries: [{ item, ...retry }] });
    else settle({ done: [item] });
  });
  await eventually(async () => (await list("thousand")).groups[0]?.waitingBatches === 0, {
    what: "the batch is settled",
  });
  assert.equal(member.deliveries.length, 1_002);
  assert.equal(new Set(member.texts()).size, 1_000);
  const failing = member.deliveries.filter(({ message }) => message?.content?.value === "text 500");
  assert.deepEqual(
    failing.map(({ attempt }) => attempt),
    [1, 2, 3],
  );
  const subject = subjects.deadLetter("clean", "default", "thousand");
  const admin = await running.nats.connect("provisioner");
  const stored = await admin.manager.streams.getMessage("DLQ", { last_by_subj: subject });
  await admin.connection.close();
  const letter = DeadLetter.decode(stored?.data ?? new Uint8Array());
  assert.deepEqual([letter.stage, letter.attempts, letter.code], ["consume", 3, "aborted"]);
  assert.equal(letter.reason, "group g: handler failed");
  const { body } = letter.batch ?? {};
  assert.equal(Buffer.from(body?.$case === "inline" ? body.value : []).toString(), "text 500");
  member.call.cancel();
});

test("what a member settled is not repeated when it goes, and its attempts count", async () => {
  await running.create("going");
  const first = join({ stream: "going", group: "g" });
  await opened(first);
  await storeResult("going", ["a", "b", "c", "d"]);
  await eventually(() => first.deliveries.length === 4, { what: "all are delivered" });
  const [one, two] = first.deliveries;
  first.settle({ done: [one?.item ?? 0], released: [two?.item ?? 0] });
  await eventually(() => first.deliveries.length === 5, { what: "what was given back comes again" });
  first.call.cancel();
  const second = join({ stream: "going", group: "g" });
  await eventually(() => second.deliveries.length === 3, { what: "the rest comes" });
  assert.deepEqual(second.texts(), ["b", "c", "d"]);
  // Given back it was no attempt; taken away with its member it was.
  assert.deepEqual(
    second.deliveries.map(({ attempt }) => attempt),
    [2, 2, 2],
  );
  second.call.cancel();
});

test("members share the work, each by its kinds and credits", async () => {
  await running.create("shared");
  const settle = ({ item }: Delivery, member: Member): void => member.settle({ done: [item] });
  const members = [1, 2].map(() =>
    join({ stream: "shared", group: "g", kinds: ["text"], credits: 10 }, settle),
  );
  await Promise.all(members.map(opened));
  for (let at = 0; at < 5; at++) {
    await storeResult(
      "shared",
      Array.from({ length: 20 }, (_, row) => `${at}/${row}`),
      at * 20,
    );
  }
  const total = () => members.flatMap((member) => member.texts());
  await eventually(() => total().length === 100, { what: "all are handled" });
  assert.equal(new Set(total()).size, 100);
  for (const member of members) assert.ok(member.deliveries.length >= 30, `${member.deliveries.length}`);
  for (const member of members) member.call.cancel();
});

test("a group with a filter is given what fits, and the rest is settled for it", async () => {
  await running.create("picked");
  const filter = {
    attributes: { colour: "red" },
    kinds: ["text", "data"],
    priority: Priority.PRIORITY_BATCH,
  };
  const asked = { stream: "picked", group: "g", sourceIds: ["a", "b"] };
  const settle = ({ item }: Delivery, member: Member): void => member.settle({ done: [item] });
  const member = join({ ...asked, filter }, settle);
  await opened(member);
  await storeBatch({
    stream: "picked",
    texts: ["0", "1", "2", "3"],
    sourceIds: ["a", "a", "b", "c"],
    attributes: [{ colour: "blue" }, { colour: "red" }, { colour: "red" }, { colour: "red" }],
  });
  const high = { from: 4, lane: Lane.LANE_HIGH, attributes: [{ colour: "red" }] };
  await storeBatch({ stream: "picked", texts: ["4"], ...high });
  await eventually(async () => (await list("picked")).groups[0]?.waitingBatches === 0, {
    what: "all is settled",
  });
  assert.deepEqual(member.texts(), ["1", "2"]);
  // Said in another order it is the same group, and with less it is not.
  const again = join({ ...asked, filter: { ...filter, kinds: ["data", "text", "data"] } });
  await opened(again);
  const other = join(asked);
  const error = fromStatus(await eventually(() => other.error(), { what: "it is refused" }), "consume");
  assert.deepEqual([error.code, error.field], ["failed_precondition", "open.filter"]);
  for (const each of [member, again]) each.call.cancel();
});

test("a message that is not settled in time goes to another member", async () => {
  await running.create("silent");
  const silent = join({ stream: "silent", group: "g", ackWait: { seconds: 1, nanos: 0 } });
  await opened(silent);
  await storeResult("silent", ["a"]);
  await eventually(() => silent.deliveries.length === 1, { what: "it is delivered" });
  const [first] = silent.deliveries;
  // Told to be worked on, it stays for longer.
  silent.settle({ working: [first?.item ?? 0] });
  const other = join({ stream: "silent", group: "g" });
  await eventually(() => silent.deliveries.length + other.deliveries.length === 2, {
    what: "it comes again",
  });
  const again = [...silent.deliveries.slice(1), ...other.deliveries];
  assert.deepEqual(
    again.map(({ attempt }) => attempt),
    [2],
  );
  silent.call.cancel();
  other.call.cancel();
});

test("a may-skip group is told a gap, and an unread must-deliver one holds results back", async () => {
  await running.create("gappy");
  for (const group of ["skips", "must"]) {
    const member = join({ stream: "gappy", group, maySkip: group === "skips" });
    await opened(member);
    member.call.end();
  }
  const isRead = async () => (await list("gappy")).groups.some((group) => group.isRead);
  await eventually(async () => !(await isRead()), { what: "both have left" });
  await storeResult("gappy", ["a"]);
  const kept = await storeResult("gappy", ["b"], 1);
  const purge = { filter: subjects.result("default", "gappy"), seq: kept };
  await running.output.manager.streams.purge("RESULT", purge);
  const statuses = (await list("gappy")).groups.sort((one, two) =>
    (one.group?.name ?? "").localeCompare(two.group?.name ?? ""),
  );
  const told = statuses.map(({ group, holdsBack, isRead }) => [group?.name, holdsBack, isRead]);
  assert.deepEqual(told, [
    ["must", true, false],
    ["skips", false, false],
  ]);
  const member = join({ stream: "gappy", group: "skips", maySkip: true });
  await eventually(() => member.deliveries.length === 1, { what: "the rest comes" });
  assert.equal(member.responses.find(({ gap }) => gap !== undefined)?.gap?.batches, 1);
  member.call.cancel();
});

test("a group that is deleted ends its calls and begins anew", async () => {
  await running.create("ended");
  const member = join({ stream: "ended", group: "g" });
  await opened(member);
  await answer((done) => groups.deleteGroup({ stream: "ended", group: "g" }, done));
  const error = fromStatus(await eventually(() => member.error(), { what: "the call ends" }), "consume");
  assert.deepEqual([error.code, error.field], ["not_found", "open.group"]);
  assert.deepEqual((await list("ended")).groups, []);
  await assert.rejects(
    answer((done) => groups.deleteGroup({ stream: "ended", group: "g" }, done)),
    { code: "not_found", field: "group" },
  );
  const again = join({ stream: "ended", group: "g", maySkip: true });
  await opened(again);
  again.call.cancel();
});

test("bad openings are refused by field", async () => {
  await running.create("strict");
  await running.create("unread", { outputs: { events: true } });
  const member = join({ stream: "strict", group: "g", maxAttempts: 2 });
  await opened(member);
  const cases: [open: AskedOpen, code: string, field: string][] = [
    [{ stream: "nowhere", group: "g" }, "not_found", "open.stream"],
    [{ stream: "unread", group: "g" }, "failed_precondition", "open.stream"],
    [{ stream: "strict", group: "No" }, "invalid_argument", "open.group"],
    [{ stream: "strict", group: "g", kinds: ["video"] }, "invalid_argument", "open.kinds"],
    [{ stream: "strict", group: "g", credits: 9_000 }, "invalid_argument", "open.credits"],
    [{ stream: "strict", group: "g", maxAttempts: 3 }, "failed_precondition", "open.max_attempts"],
    [{ stream: "strict", group: "g", maySkip: true }, "failed_precondition", "open.may_skip"],
    [{ stream: "strict", group: "g", sourceIds: ["x"] }, "failed_precondition", "open.source_ids"],
    [{ stream: "strict", group: "g", filter: { kinds: ["text"] } }, "failed_precondition", "open.filter"],
    [{ stream: "strict", group: "h", filter: { kinds: ["film"] } }, "invalid_argument", "open.filter.kinds"],
    [
      { stream: "strict", group: "g", ackWait: { seconds: 0, nanos: 5 } },
      "invalid_argument",
      "open.ack_wait",
    ],
  ];
  for (const [open, code, field] of cases) {
    const refused = join(open);
    const error = fromStatus(await eventually(() => refused.error(), { what: "it is refused" }), "consume");
    assert.deepEqual([error.code, error.field], [code, field]);
    assert.ok(error.remedy);
  }
  member.call.cancel();
});
