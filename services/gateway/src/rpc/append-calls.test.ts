import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import {
  type AppendRequest,
  AppendResponse,
  type AppendStreamRequest,
  type AppendStreamResponse,
  BufferServiceClient,
  BufferServiceService,
  Sender,
} from "@millrace/proto/buffer";
import { createGrpcServer, insecure, toStatusBytes } from "@millrace/runtime";
import { createFakeClock, eventually } from "@millrace/runtime/testing";
import { createAppendCalls } from "./append-calls.js";

type Call = ServerDuplexStream<AppendStreamRequest, AppendStreamResponse>;

const request: AppendRequest = { batch: undefined, sender: Sender.SENDER_GATEWAY };
const deadlineMs = 10_000;

/** Calls to a server over the network whose answers the test gives. */
async function connected(t: TestContext) {
  const opened: Call[] = [];
  const asked: { call: Call; number: number }[] = [];
  const unused = (): void => assert.fail("not called");
  const names = ["append", "lastPosition", "reject", "leaseSegment", "renewLease", "endLease", "getUsage"];
  const appendStream = (call: Call): void => {
    opened.push(call);
    call.on("data", ({ number }: AppendStreamRequest) => asked.push({ call, number }));
    call.on("error", () => undefined);
  };
  const server = createGrpcServer({
    listen: { host: "127.0.0.1", port: 0 },
    services: [
      {
        name: "millrace.buffer.v1.BufferService",
        definition: BufferServiceService,
        implementation: { ...Object.fromEntries(names.map((name) => [name, unused])), appendStream },
      },
    ],
    healthy: () => true,
    receiveBytesMax: 1024 * 1024,
  });
  await server.start?.();
  const client = new BufferServiceClient(`127.0.0.1:${server.port()}`, insecure);
  const clock = createFakeClock();
  const calls = createAppendCalls({
    call: () => client.appendStream(),
    deadlineMs,
    monotonic: clock.monotonic,
  });
  t.after(async () => {
    calls.close();
    client.close();
    await server.stop?.(AbortSignal.abort());
  });
  const came = (count: number): Promise<unknown> =>
    eventually(() => asked.length >= count, { what: `${count} requests` });
  const answer = (at: number, outcome: AppendStreamResponse["outcome"]): void => {
    const one = asked[at];
    assert.ok(one !== undefined);
    one.call.write({ number: one.number, outcome });
  };
  const accept = (at: number, jetStream: string): void =>
    answer(at, { $case: "appended", value: AppendResponse.fromPartial({ jetStream }) });
  return { calls, clock, opened, came, answer, accept };
}

test("appends share a call, and each gets its own answer, in whatever order they come", async (t) => {
  const { calls, opened, came, accept, answer } = await connected(t);
  const [first, second, third] = [calls.append(request), calls.append(request), calls.append(request)];
  await came(3);
  const full = new CodedError("resource_exhausted", "the stream is full", { retryAfterMs: 40 });
  answer(1, { $case: "refused", value: toStatusBytes(full) });
  await assert.rejects(second, { code: "resource_exhausted", retryAfterMs: 40 });
  accept(2, "c");
  accept(0, "a");
  assert.deepEqual([(await first).jetStream, (await third).jetStream], ["a", "c"]);
  assert.equal(opened.length, 1);
});

const cuts = {
  "buffer ends it": (call: Call) => void call.end(),
  "it fails": (call: Call) => void call.emit("error", { code: 14, details: "gone" }),
};
for (const [why, cut] of Object.entries(cuts)) {
  test(`a call is cut: the outcome is unknown, the next append makes a new one: ${why}`, async (t) => {
    const { calls, opened, came, accept } = await connected(t);
    const lost = calls.append(request);
    await came(1);
    const [call] = opened;
    assert.ok(call !== undefined);
    cut(call);
    await assert.rejects(lost, { code: "unavailable" });
    const next = calls.append(request);
    await came(2);
    accept(1, "again");
    assert.equal((await next).jetStream, "again");
    assert.equal(opened.length, 2);
  });
}

test("who waits past the deadline is told, and a late answer is no answer to another", async (t) => {
  const { calls, clock, came, accept } = await connected(t);
  const late = calls.append(request);
  await clock.advance(deadlineMs / 2);
  const inTime = calls.append(request);
  await came(2);
  await clock.advance(deadlineMs / 2 + 1);
  calls.expire();
  await assert.rejects(late, { code: "deadline_exceeded" });
  accept(0, "late");
  accept(1, "in time");
  assert.equal((await inTime).jetStream, "in time");
});

test("a close tells those who wait", async (t) => {
  const { calls, came } = await connected(t);
  const waiting = calls.append(request);
  await came(1);
  calls.close();
  await assert.rejects(waiting, { code: "canceled" });
});
