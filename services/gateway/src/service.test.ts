import assert from "node:assert/strict";
import { once } from "node:events";
import test, { after, before } from "node:test";
import { Client, Metadata, type ServiceError } from "@grpc/grpc-js";
import { ArtifactServiceClient, ListArtifactsRequest } from "@millrace/proto/artifact";
import { PublishRequest, PublishServiceClient } from "@millrace/proto/message";
import { SearchRequest, SearchServiceClient } from "@millrace/proto/search";
import { type GetSourceResponse, Source, SourceServiceClient, SourceState } from "@millrace/proto/source";
import { Stream } from "@millrace/proto/stream";
import { fromStatus } from "@millrace/runtime";
import { eventually } from "@millrace/runtime/testing";
import { answer, type Done, identity, insecure, type RunningGateway, startGateway } from "./testing.js";

let running: RunningGateway;
let address: string;

before(async () => {
  running = await startGateway();
  address = running.address;
});

after(() => running?.stop());

const create: RunningGateway["create"] = (name, given) => running.create(name, given);
const streams = () => running.streams;

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

test("without the privacy role no stream is created as exempt or becomes so", async () => {
  const refusal = {
    code: "permission_denied",
    field: "stream.privacy.exempt",
    remedy: /privacy\.exemptAllowed/,
  };
  await assert.rejects(create("secret", { privacy: { exempt: true } }), refusal);
  await assert.rejects(
    answer((done) => streams().getStream({ name: "secret" }, done)),
    { code: "not_found" },
  );
  const stream = await create("open");
  const update = (exempt: boolean) =>
    answer((done) =>
      streams().updateStream({ stream: { ...stream, privacy: { detectorsOff: [], exempt } } }, done),
    );
  await assert.rejects(update(true), refusal);
  await update(false);
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

test("sources are added once, listed, paused, resumed and removed", async () => {
  await create("files");
  const sources = new SourceServiceClient(address, insecure);
  const source = Source.fromPartial({ stream: "files", kind: { $case: "file", value: { path: "/in" } } });
  const add = () => answer<{ source: Source | undefined }>((done) => sources.addSource({ source }, done));
  const first = (await add()).source;
  assert.deepEqual((await add()).source, first);
  const list = () => answer<{ sources: Source[] }>((done) => sources.listSources({ stream: "files" }, done));
  await eventually(async () => (await list()).sources.length === 1, { what: "it is listed" });
  const id = first?.id ?? "";
  const request = { stream: "files", id };
  const state = async () => {
    const { report } = await answer<GetSourceResponse>((done) => sources.getSource(request, done));
    return report?.state;
  };
  assert.equal(await state(), SourceState.SOURCE_STATE_UNSPECIFIED);
  await answer((done) => sources.pauseSource(request, done));
  assert.equal(await state(), SourceState.SOURCE_STATE_PAUSED);
  // Adding it again does not resume it.
  assert.equal((await add()).source?.paused, true);
  await answer((done) => sources.resumeSource(request, done));
  assert.equal(await state(), SourceState.SOURCE_STATE_UNSPECIFIED);
  await assert.rejects(
    answer((done) => sources.pauseSource({ stream: "files", id: "0".repeat(32) }, done)),
    { code: "not_found", field: "id" },
  );
  await answer((done) => sources.removeSource({ stream: "files", id }, done));
  await eventually(async () => (await list()).sources.length === 0, { what: "it is gone" });
  await assert.rejects(
    answer((done) => sources.removeSource({ stream: "files", id: "x" }, done)),
    { code: "invalid_argument", field: "id" },
  );
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
      "invalid_argument",
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
  const list = (fields: object) =>
    answer((done) =>
      artifacts.listArtifacts(ListArtifactsRequest.fromPartial({ stream: "kept", ...fields }), done),
    );
  assert.deepEqual(await list({}), { artifacts: [], nextPageToken: "" });
  await assert.rejects(list({ stream: "plain" }), { code: "failed_precondition", field: "stream" });
  await assert.rejects(list({ pageSize: 1_001 }), { code: "invalid_argument", field: "page_size" });
  await assert.rejects(list({ pageToken: "c1" }), { code: "invalid_argument", field: "page_token" });
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
      "millrace.deadletter.v1.DeadLetterService",
      "millrace.event.v1.EventService",
      "millrace.group.v1.GroupService",
      "millrace.message.v1.PublishService",
      "millrace.message.v1.SubscribeService",
      "millrace.privacy.v1.PrivacyService",
      "millrace.replay.v1.ReplayService",
      "millrace.search.v1.SearchService",
      "millrace.source.v1.SourceService",
      "millrace.stream.v1.StreamService",
      "millrace.tap.v1.TapService",
      "millrace.trigger.v1.TriggerService",
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
  assert.ok(running.lifecycle.unhealthy().has("buffer-client"));
  client.close();
});
