import assert from "node:assert/strict";
import { once } from "node:events";
import { test, type TestContext } from "node:test";
import type { ClientDuplexStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { Batch } from "@millrace/proto/batch";
import {
  AppendResponse,
  type AppendStreamRequest,
  type AppendStreamResponse,
  BufferServiceClient,
  BufferServiceService,
  Sender,
} from "@millrace/proto/buffer";
import { createGrpcServer, fromStatusBytes, insecure, silentLogger } from "@millrace/runtime";
import { createFakeClock, eventually } from "@millrace/runtime/testing";
import { createLiveBytes, sinkBits } from "../quota/live-bytes.js";
import { type Aside, createStreamQuota } from "../quota/stream-quota.js";
import { type AppendStreamsOptions, createAppendStreams } from "./append-stream.js";

const never = new AbortController().signal;
const appended = (jetStream: string): AppendResponse => AppendResponse.fromPartial({ jetStream });
const asked = (number: number): AppendStreamRequest => ({
  number,
  append: { batch: undefined, sender: Sender.SENDER_GATEWAY },
  trace: {},
});

/** The server's side, with what an append does given by the test; and a call to it. */
async function serving(t: TestContext, append: AppendStreamsOptions["append"]) {
  const streams = createAppendStreams({ append, log: silentLogger });
  const unused = (): void => assert.fail("not called");
  const names = ["append", "lastPosition", "reject", "leaseSegment", "renewLease", "endLease", "getUsage"];
  const server = createGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    services: [
      {
        name: "millrace.buffer.v1.BufferService",
        definition: BufferServiceService,
        implementation: {
          ...Object.fromEntries(names.map((name) => [name, unused])),
          appendStream: streams.serve,
        },
      },
    ],
    healthy: () => true,
    receiveBytesMax: 1024 * 1024,
  });
  await server.start?.();
  const client = new BufferServiceClient(`127.0.0.1:${server.port()}`, insecure);
  const call = client.appendStream();
  t.after(async () => {
    call.cancel();
    client.close();
    await server.stop?.(AbortSignal.abort());
  });
  call.on("error", () => undefined);
  return { streams, server, call };
}

/** Resolves with so many responses. */
async function responses(
  call: ClientDuplexStream<AppendStreamRequest, AppendStreamResponse>,
  count: number,
): Promise<AppendStreamResponse[]> {
  const got: AppendStreamResponse[] = [];
  await new Promise<void>((resolve) => {
    call.on("data", (response: AppendStreamResponse) => {
      got.push(response);
      if (got.length === count) resolve();
    });
  });
  return got;
}

test("each append is answered by its number when it is done, whatever the others wait for", async (t) => {
  const waiting: ((name: string) => void)[] = [];
  const { call } = await serving(t, () =>
    new Promise<string>((resolve) => waiting.push(resolve)).then(appended),
  );
  const done = responses(call, 2);
  call.write(asked(7));
  call.write(asked(8));
  while (waiting.length < 2) await new Promise((resolve) => setImmediate(resolve));
  waiting[1]?.("second");
  waiting[0]?.("first");
  const told = (await done).map(({ number, outcome }) => [
    number,
    outcome?.$case === "appended" && outcome.value.jetStream,
  ]);
  assert.deepEqual(told, [
    [8, "second"],
    [7, "first"],
  ]);
});

test("a refusal comes with code, field and remedy, and the call goes on", async (t) => {
  let isRefused = true;
  const refusal = new CodedError("resource_exhausted", "append: the stream is full", {
    subject: "stream:orders",
    retryAfterMs: 40,
    remedy: "Wait.",
  });
  const { call } = await serving(t, async () => {
    if (!isRefused) return appended("RAW");
    isRefused = false;
    throw refusal;
  });
  const done = responses(call, 2);
  call.write(asked(1));
  call.write(asked(2));
  const [first, second] = await done;
  assert.equal(first?.outcome?.$case, "refused");
  const { code, subject, retryAfterMs, remedy } = fromStatusBytes(first.outcome.value as Buffer, "append");
  assert.deepEqual(
    { code, subject, retryAfterMs, remedy },
    { code: "resource_exhausted", subject: "stream:orders", retryAfterMs: 40, remedy: "Wait." },
  );
  assert.equal(second?.outcome?.$case, "appended");
});

test("a stop answers what is worked on and ends the call, so that the server can stop", async (t) => {
  let finish = (): void => undefined;
  const finished = new Promise<void>((resolve) => (finish = resolve));
  let begun = (): void => undefined;
  const isBegun = new Promise<void>((resolve) => (begun = resolve));
  const { streams, server, call } = await serving(t, async () => {
    begun();
    await finished;
    return appended("RAW");
  });
  const done = responses(call, 1);
  const ended = once(call, "end");
  call.write(asked(1));
  await isBegun;
  const stopping = streams.stop?.(never);
  finish();
  assert.equal((await done)[0]?.number, 1);
  await ended;
  await stopping;
  await server.stop?.(never);
});

test("no more are worked on at once than a connection may have calls", async (t) => {
  let working = 0;
  let most = 0;
  const { call } = await serving(t, async () => {
    working += 1;
    most = Math.max(most, working);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    working -= 1;
    return appended("RAW");
  });
  const done = responses(call, 1_000);
  for (let number = 1; number <= 1_000; number++) call.write(asked(number));
  assert.equal(new Set((await done).map(({ number }) => number)).size, 1_000);
  assert.ok(most <= 100, `${most} at once`);
});

/** Full streams and a healthy one behind a real quota, whose clock stands still until the test moves it. */
async function quotaServing(t: TestContext) {
  const clock = createFakeClock();
  const quota = createStreamQuota({
    live: createLiveBytes(),
    quotaOf: () => 1_000,
    now: clock.monotonic,
    sleep: clock.sleep,
    roomWaitMs: 1_000,
    waitingBytesMax: 1_000_000,
    lineBytesMax: 1_000_000,
    lineMax: 64,
  });
  const sinks = sinkBits({ results: false, store: true, search: false });
  let taken = 0;
  const take = async (stream: string, bytes: number, aside?: Aside): Promise<void> => {
    taken += 1;
    const range = {
      tenant: "t",
      stream,
      source: "a",
      createdMs: 1,
      from: taken,
      to: taken + 1,
      bytes,
      sinks,
    };
    const by = { sender: "gateway", quotaBytes: 1_000, heldBytes: 10, aside };
    (await quota.take(range, by)).keep();
  };
  const { call } = await serving(t, async ({ batch }, aside) => {
    await take(batch?.header?.stream ?? "", 1, aside);
    return appended("RAW");
  });
  const got: AppendStreamResponse[] = [];
  call.on("data", (response: AppendStreamResponse) => got.push(response));
  const send = (stream: string, count: number): void => {
    const batch = Batch.fromPartial({ header: { stream } });
    for (let n = 0; n < count; n++) {
      sent += 1;
      call.write({ number: sent, append: { batch, sender: Sender.SENDER_GATEWAY }, trace: {} });
    }
  };
  let sent = 0;
  const answered = (number: number): boolean => got.some((response) => response.number === number);
  return { clock, take, send, got, answered };
}

test("250 senders of a full stream hold up no other: 64 wait, the others are refused at once", async (t) => {
  const { clock, take, send, got, answered } = await quotaServing(t);
  await take("full", 1_000);
  send("full", 250);
  send("healthy", 1);
  await eventually(() => answered(251), { what: "the healthy one is answered" });
  const refused = got.filter(({ number }) => number <= 250);
  assert.equal(refused.length, 250 - 64);
  for (const { outcome } of refused) {
    assert.ok(outcome?.$case === "refused");
    const { code, subject, retryAfterMs } = fromStatusBytes(outcome.value, "append");
    assert.deepEqual({ code, subject }, { code: "resource_exhausted", subject: "stream:full" });
    assert.ok((retryAfterMs ?? 0) > 0, "says when to come again");
  }
  await clock.advance(1_000);
  await eventually(() => got.length === 251, { what: "those that waited are answered" });
});

test("those who wait for room of five full streams take no place of another", async (t) => {
  const { clock, take, send, got, answered } = await quotaServing(t);
  for (let n = 1; n <= 5; n++) await take(`full-${n}`, 1_000);
  for (let n = 1; n <= 5; n++) send(`full-${n}`, 50);
  send("healthy", 200);
  await eventually(() => answered(450), { what: "the last of the healthy stream is answered" });
  assert.deepEqual([got.length, got.every(({ number }) => number > 250)], [200, true]);
  await clock.advance(1_000);
  await eventually(() => got.length === 450, { what: "those that waited are answered" });
});
