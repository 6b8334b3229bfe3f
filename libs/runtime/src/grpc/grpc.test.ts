import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Client, type ServiceDefinition } from "@grpc/grpc-js";
import { CodedError } from "@millrace/errors";
import { SearchRequest } from "@millrace/proto/search";
import { silentLogger } from "../logger.js";
import { callUnary, insecure, internalChannel } from "./client.js";
import { createGrpcServer } from "./server.js";
import { unary } from "./unary.js";

const bytes = { serialize: (value: Buffer) => value, deserialize: (value: Buffer) => value };
/** A request is a generated type, since the server hands its decoder a reader. */
const asked = (query: string): Buffer =>
  Buffer.from(SearchRequest.encode(SearchRequest.fromPartial({ query })).finish());
const method = {
  path: "/test.Echo/Say",
  requestStream: false,
  responseStream: false,
  requestSerialize: bytes.serialize,
  requestDeserialize: (value: Buffer) => Buffer.from(SearchRequest.decode(value).query),
  responseSerialize: bytes.serialize,
  responseDeserialize: bytes.deserialize,
} as const;
const definition: ServiceDefinition = { say: method };
const never = new AbortController().signal;

async function serving(t: TestContext, handle: (request: Buffer) => Promise<Buffer>, port = 0) {
  const server = createGrpcServer({
    listen: { host: "127.0.0.1", port },
    services: [
      {
        name: "test.Echo",
        definition,
        implementation: { say: unary("test.Echo/Say", silentLogger, handle) },
      },
    ],
    healthy: () => true,
    receiveBytesMax: 1024,
  });
  await server.start?.();
  const client = new Client(`127.0.0.1:${server.port()}`, insecure, internalChannel);
  t.after(async () => {
    client.close();
    await server.stop?.(never);
  });
  const send = (request: Buffer, deadlineMs: number): Promise<Buffer> =>
    callUnary<Buffer, Buffer>(
      (value, metadata, options, done) =>
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize,
          method.responseDeserialize,
          value,
          metadata,
          options,
          (error, response) => done(error, response ?? Buffer.alloc(0)),
        ),
      request,
      { attempted: "say", deadlineMs, now: performance.timeOrigin + performance.now() },
    );
  const say = (text: string, deadlineMs = 5_000): Promise<Buffer> => send(asked(text), deadlineMs);
  return { server, say, send };
}

test("a call is answered", async (t) => {
  const { say } = await serving(t, async (request) => Buffer.from(request.toString().toUpperCase()));
  assert.equal((await say("hello")).toString(), "HELLO");
});

test("a request that is no such message, or no UTF-8, is refused", async (t) => {
  const { send } = await serving(t, async (request) => request);
  for (const request of [Buffer.from([0x0a, 0x05, 0x61]), Buffer.from([0x0a, 0x02, 0x61, 0xff])]) {
    const refusal = { code: "invalid_argument", message: "say: decode request: malformed protobuf" };
    await assert.rejects(send(request, 5_000), refusal);
  }
});

test("an error crosses with its code, field, remedy and wait", async (t) => {
  const { say } = await serving(t, async () => {
    throw new CodedError("resource_exhausted", "append: full – “später”", {
      field: "batch",
      remedy: "Wait.",
      retryAfterMs: 250,
    });
  });
  await assert.rejects(say("x"), {
    code: "resource_exhausted",
    message: "say: append: full – “später”",
    field: "batch",
    remedy: "Wait.",
    retryAfterMs: 250,
  });
});

test("what went wrong inside stays inside", async (t) => {
  const { say } = await serving(t, async () => {
    throw new Error("password is hunter2");
  });
  await assert.rejects(say("x"), { code: "internal", message: "say: internal error; see the service's log" });
});

test("a request above the bound is refused, and one that takes too long is given up", async (t) => {
  const { say } = await serving(t, () => new Promise<Buffer>(() => undefined));
  await assert.rejects(say("x".repeat(2_000)), { code: "resource_exhausted" });
  await assert.rejects(say("x", 50), { code: "deadline_exceeded" });
  t.diagnostic("the hanging calls end with the client");
});

test("a port in use is refused with the setting and what to do", async (t) => {
  const { server } = await serving(t, async (request) => request);
  const second = createGrpcServer({
    listen: { host: "127.0.0.1", port: server.port() },
    services: [],
    healthy: () => true,
    receiveBytesMax: 1024,
  });
  await assert.rejects(async () => second.start?.(), {
    code: "failed_precondition",
    field: "grpc.port",
    message: `listen on 127.0.0.1:${server.port()}: port ${server.port()} is in use`,
  });
});
