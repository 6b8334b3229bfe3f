import assert from "node:assert/strict";
import { once } from "node:events";
import test, { after, before } from "node:test";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { messageId } from "@millrace/envelope";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { type Broker, createPublisher, subjects } from "@millrace/messaging";
import { freePort, type NatsServer, startNats } from "@millrace/messaging/testing";
import { ArtifactServiceClient } from "@millrace/proto/artifact";
import { Batch } from "@millrace/proto/batch";
import { Event, EventServiceClient, type WatchEventsResponse } from "@millrace/proto/event";
import {
  PublishRequest,
  PublishServiceClient,
  StartAt,
  SubscribeRequest,
  type SubscribeResponse,
  SubscribeServiceClient,
} from "@millrace/proto/message";
import { SearchRequest, SearchServiceClient } from "@millrace/proto/search";
import { Source, SourceServiceClient } from "@millrace/proto/source";
import { Stream, StreamServiceClient } from "@millrace/proto/stream";
import {
  createLifecycle,
  createMetrics,
  fromStatus,
  type GrpcServer,
  type Lifecycle,
  parseConfig,
  type Runtime,
  silentLogger,
  systemClock,
  systemRandom,
} from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { gatewayConfig } from "./config.js";
import { gateway } from "./service.js";

let nats: NatsServer;
let lifecycle: Lifecycle;
let output: Broker;
let address: string;
const insecure = credentials.createInsecure();

before(async () => {
  nats = await startNats();
  output = await nats.connect("output");
  const config = parseConfig(
    gatewayConfig,
    {
      nats: { url: nats.url, monitorUrl: nats.monitorUrl, seedFile: `${nats.keysDir}/gateway.nk` },
      grpc: { port: 0 },
      buffer: { address: `127.0.0.1:${await freePort()}` },
    },
    "test",
  );
  const runtime: Runtime = {
    service: "gateway",
    instance: "0",
    version: "0.1.0",
    log: silentLogger,
    metrics: createMetrics("gateway", "0"),
    clock: systemClock,
    random: systemRandom,
    fail: (error) => {
      throw error;
    },
  };
  const components = await gateway(config, runtime);
  lifecycle = createLifecycle(components, silentLogger);
  await lifecycle.start();
  const server = components.find(({ name }) => name === "grpc-server") as GrpcServer;
  address = `127.0.0.1:${server.port()}`;
});

after(async () => {
  await lifecycle?.stop(5_000);
  await output?.connection.close();
  await nats?.stop();
});

type Done<R> = (error: ServiceError | null, response: R) => void;

function answer<R>(call: (done: Done<R>) => unknown): Promise<R> {
  return new Promise((resolve, reject) => {
    call((error, response) => (error === null ? resolve(response) : reject(fromStatus(error, "call"))));
  });
}

const streams = () => new StreamServiceClient(address, insecure);
type Given = Parameters<typeof Stream.fromPartial>[0];

async function create(name: string, given: Given = {}): Promise<Stream> {
  const stream = Stream.fromPartial({ name, outputs: { results: {} }, ...given });
  const { stream: made } = await answer<{ stream: Stream | undefined }>((done) =>
    streams().createStream({ stream }, done),
  );
  assert.ok(made);
  return made;
}

/** Publishes a result as output does. */
async function storeResult(stream: string, texts: string[], from = 0): Promise<number> {
  const open = buildBatch({ stream, texts, from });
  const { seq } = await createPublisher(output).publish({
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
    cancel: () => call.cancel(),
  };
}

const reading = (subscribed: Subscribed, count: number) =>
  eventually(() => subscribed.texts().length >= count, { what: `${count} messages are read` });
const opening = ({ responses }: Subscribed) =>
  eventually(() => responses.length > 0, { what: "it is listened for" });
const failing = (subscribed: Subscribed) => eventually(() => subscribed.error(), { what: "it fails" });

test("a stream is created once; other settings under its name are refused, and updated", async () => {
  const stream = Stream.fromPartial({ name: "once", outputs: { results: {} } });
  const createOnce = () =>
    answer<{ created: boolean; stream: Stream | undefined }>((done) =>
      streams().createStream({ stream }, done),
    );
  const first = await createOnce();
  const again = await createOnce();
  assert.deepEqual([first.created, again.created], [true, false]);
  assert.deepEqual(again.stream, first.stream);
  await assert.rejects(create("once", { batchSize: 5 }), { code: "already_exists", field: "stream" });
  const { stream: updated } = await answer<{ stream: Stream | undefined }>((done) =>
    streams().updateStream({ stream: { ...stream, batchSize: 5 } }, done),
  );
  assert.deepEqual([updated?.batchSize, updated?.createdMs], [5, first.stream?.createdMs]);
});

test("a stream made anew under its old name has another creation time, and none of the old results", async () => {
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

test("a paused stream refuses publishes until it is resumed", async () => {
  await create("paused");
  const { stream } = await answer<{ stream: Stream | undefined }>((done) =>
    streams().pauseStream({ name: "paused" }, done),
  );
  assert.equal(stream?.state, 2);
  const publishing = () => {
    const request = PublishRequest.fromPartial({ stream: "paused", content: { $case: "text", value: "a" } });
    return answer((done) =>
      new PublishServiceClient(address, insecure).publish(
        request,
        new Metadata(),
        { deadline: Date.now() + 1_000 },
        done,
      ),
    );
  };
  await eventually(() => publishing().catch(({ code }) => code === "failed_precondition"), {
    what: "it is refused",
  });
  await answer((done) => streams().resumeStream({ name: "paused" }, done));
  // Buffer is away here, so what is let through ends with an unknown outcome.
  await eventually(() => publishing().catch(({ code }) => code === "unavailable"), {
    what: "it is let through",
  });
});

test("status shows the conservation of an empty stream", async () => {
  await create("quiet", { outputs: { results: {}, storage: {} } });
  const status = await answer<{ conservation: unknown; durability: string; sinks: { sink: string }[] }>(
    (done) => streams().getStreamStatus({ name: "quiet" }, done),
  );
  assert.deepEqual(status.conservation, {
    in: 0,
    out: 0,
    dead: 0,
    dropped: 0,
    inFlight: 0,
    droppedByReason: {},
    balanced: true,
  });
  assert.equal(status.durability, "synced");
  assert.deepEqual(
    status.sinks.map(({ sink }) => sink),
    ["results", "store"],
  );
});

test("sources are added once, listed and removed", async () => {
  await create("files");
  const sources = new SourceServiceClient(address, insecure);
  const source = Source.fromPartial({ stream: "files", kind: { $case: "file", value: { path: "/in" } } });
  const add = () => answer<{ source: Source | undefined }>((done) => sources.addSource({ source }, done));
  const first = (await add()).source;
  assert.deepEqual((await add()).source, first);
  const list = () => answer<{ sources: Source[] }>((done) => sources.listSources({ stream: "files" }, done));
  await eventually(async () => (await list()).sources.length === 1, { what: "it is listed" });
  const id = first?.id ?? "";
  await answer((done) => sources.removeSource({ stream: "files", id }, done));
  await eventually(async () => (await list()).sources.length === 0, { what: "it is gone" });
  await assert.rejects(
    answer((done) => sources.removeSource({ stream: "files", id: "x" }, done)),
    { code: "invalid_argument", field: "id" },
  );
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
  await output.manager.streams.purge("RESULT", purge);
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
  await createPublisher(output).publish({
    subject: subjects.result("default", "picked"),
    data: Batch.encode(inlineBatch(open)).finish(),
    id: "picked",
  });
  await reading(subscribed, 1);
  assert.deepEqual(subscribed.texts(), ["b"]);
  subscribed.cancel();
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
    await createPublisher(output).publish({ subject, data: Event.encode(event).finish(), id });
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

test("a publish that buffer does not answer ends within its deadline, its outcome unknown", async () => {
  await create("lost");
  const request = PublishRequest.fromPartial({ stream: "lost", content: { $case: "text", value: "a" } });
  const published = answer((done) =>
    new PublishServiceClient(address, insecure).publish(
      request,
      new Metadata(),
      { deadline: Date.now() + 1_000 },
      done,
    ),
  );
  await assert.rejects(published, { code: "unavailable", retryAfterMs: 500 });
});

test("bad publishes are refused by field, before anything is sent", async () => {
  await create("checked");
  const cases: [request: Parameters<typeof PublishRequest.fromPartial>[0], code: string, field: string][] = [
    [{ stream: "nowhere" }, "not_found", "stream"],
    [{ stream: "checked" }, "invalid_argument", "content"],
    [
      { stream: "checked", content: { $case: "image", value: new Uint8Array([1]) } },
      "unimplemented",
      "image",
    ],
    [
      { stream: "checked", content: { $case: "text", value: "x".repeat(800_000) } },
      "invalid_argument",
      "text",
    ],
  ];
  for (const [request, code, field] of cases) {
    const publishing = answer((done) =>
      new PublishServiceClient(address, insecure).publish(PublishRequest.fromPartial(request), done),
    );
    await assert.rejects(publishing, { code, field });
  }
});

test("a request above the transport's limit is refused as resource exhausted", async () => {
  const value = "x".repeat(5 * 1024 * 1024);
  const request = PublishRequest.fromPartial({ stream: "checked", content: { $case: "text", value } });
  await assert.rejects(
    answer((done) => new PublishServiceClient(address, insecure).publish(request, done)),
    { code: "resource_exhausted" },
  );
});

const identity = (bytes: Buffer): Buffer => bytes;

test("malformed protobuf is the caller's mistake, in unary, server and bidirectional calls", async () => {
  const client = new Client(address, insecure);
  const junk = Buffer.from([0xff, 0xff, 0xff]);
  const refused = { code: "invalid_argument", field: "request" };
  const unary = answer((done: Done<Buffer | undefined>) =>
    client.makeUnaryRequest("/millrace.stream.v1.StreamService/GetStream", identity, identity, junk, done),
  );
  await assert.rejects(unary, refused);
  const readable = client.makeServerStreamRequest(
    "/millrace.message.v1.SubscribeService/Subscribe",
    identity,
    identity,
    junk,
  );
  readable.resume();
  const [readError] = (await once(readable, "error")) as [ServiceError];
  assert.equal(fromStatus(readError, "call").code, refused.code);
  const duplex = client.makeBidiStreamRequest(
    "/millrace.message.v1.PublishService/PublishStream",
    identity,
    identity,
  );
  duplex.resume();
  duplex.write(junk);
  const [duplexError] = (await once(duplex, "error")) as [ServiceError];
  assert.equal(fromStatus(duplexError, "call").code, refused.code);
  client.close();
});

test("a publish stream that does not begin with open is refused", async () => {
  const call = new PublishServiceClient(address, insecure).publishStream();
  call.resume();
  call.write({ kind: { $case: "messages", value: { firstSequence: 0, messages: [] } } });
  const [error] = (await once(call, "error")) as [ServiceError];
  const { code, field } = fromStatus(error, "call");
  assert.deepEqual([code, field], ["invalid_argument", "kind"]);
});

test("a publish stream refuses an unknown stream and a bad epoch", async () => {
  await create("pushed");
  const open = async (stream: string, epoch: string) => {
    const call = new PublishServiceClient(address, insecure).publishStream();
    call.resume();
    call.write({ kind: { $case: "open", value: { stream, epoch } } });
    const [error] = (await once(call, "error")) as [ServiceError];
    const { code, field } = fromStatus(error, "call");
    return [code, field];
  };
  assert.deepEqual(await open("nowhere", "0190f0aa-0000-7000"), ["not_found", "open.stream"]);
  assert.deepEqual(await open("pushed", "short"), ["invalid_argument", "open.epoch"]);
});

test("artifacts need a stream that keeps them, and a service that is away is named", async () => {
  await create("plain");
  await create("kept", { outputs: { artifacts: true } });
  const artifacts = new ArtifactServiceClient(address, insecure);
  const get = (stream: string) =>
    answer((done) => artifacts.getOrCreateArtifact({ stream, sourceId: "s" }, done));
  await assert.rejects(get("plain"), { code: "failed_precondition", field: "stream" });
  await assert.rejects(get("kept"), (error: Error & { code?: string }) => {
    assert.equal(error.code, "unavailable");
    assert.match(error.message, /privacy/);
    return true;
  });
  const id = "0".repeat(32);
  const content = (artifact: string) =>
    answer((done) => artifacts.getContent({ stream: "kept", artifact, contentId: id }, done));
  await assert.rejects(content("*"), { code: "invalid_argument", field: "artifact" });
  await assert.rejects(content(id), { code: "not_found", field: "content_id" });
});

test("a search that fails does not say what was searched for", async () => {
  const request = SearchRequest.fromPartial({ query: "canary-4711" });
  const searching = answer((done) => new SearchServiceClient(address, insecure).search(request, done));
  await assert.rejects(searching, (error: Error & { code?: string }) => {
    assert.equal(error.code, "unavailable");
    assert.ok(!error.message.includes("canary"));
    return true;
  });
});

test("reflection lists every service that is served and no other", async () => {
  for (const version of ["v1", "v1alpha"]) {
    const client = new Client(address, insecure);
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    const call = client.makeBidiStreamRequest(path, identity, identity);
    // ServerReflectionRequest { 7: list_services "" }
    call.write(Buffer.from([0x3a, 0x00]));
    const [bytes] = (await once(call, "data")) as [Buffer];
    call.end();
    const names = bytes.toString("latin1").match(/[a-z]+\.[a-z0-9.]+\.[A-Z]\w+/g) ?? [];
    const ours = names.filter((name) => name.startsWith("millrace."));
    assert.deepEqual(ours.sort(), [
      "millrace.artifact.v1.ArtifactService",
      "millrace.event.v1.EventService",
      "millrace.message.v1.PublishService",
      "millrace.message.v1.SubscribeService",
      "millrace.search.v1.SearchService",
      "millrace.source.v1.SourceService",
      "millrace.stream.v1.StreamService",
    ]);
    client.close();
  }
});

test("health says that nothing is served while buffer does not answer", async () => {
  const client = new Client(address, insecure);
  const check = () =>
    answer((done: Done<Buffer | undefined>) =>
      client.makeUnaryRequest("/grpc.health.v1.Health/Check", identity, identity, Buffer.alloc(0), done),
    );
  // HealthCheckResponse { 1: NOT_SERVING (2) }
  assert.deepEqual(await check(), Buffer.from([0x08, 0x02]));
  assert.ok(lifecycle.unhealthy().has("buffer-client"));
  client.close();
});
