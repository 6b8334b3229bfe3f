import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { connect } from "../connect.js";
import type { Chunk } from "../large-file/mapped-file.js";
import { MillraceError } from "../rpc/millrace-error.js";
import { startGateway } from "../test-gateway/gateway.js";
import { refusal } from "../test-gateway/refusal.js";
import type { CreateOptions } from "./options.js";
import { attachStreamProcessor, createStreamProcessor } from "./processor.js";

test("a stream is created with the documented defaults", async () => {
  await using gateway = await startGateway();
  const { settings } = await createStreamProcessor("live", gateway.connect());
  assert.deepEqual(settings, {
    name: "live",
    processingMode: "real_time",
    batchSize: 1000,
    memoryMapping: true,
    mmapSize: 0,
    zeroCopy: true,
    workerThreads: 0,
    parallelism: 0,
    ordered: false,
    bufferSize: 0,
    privacy: { detectorsOff: [], exempt: false, faceDetection: true },
    enrichments: { embeddings: true, sentiment: true, textField: "", objects: false, scene: false },
    outputs: {
      results: { ageMs: 0, bytes: 0 },
      storage: undefined,
      artifacts: true,
      search: true,
      events: true,
      violations: true,
    },
    state: "active",
    createdTime: new Date(1_700_000_000_000),
  });
});

test("every option reaches the server", async () => {
  await using gateway = await startGateway();
  const { settings } = await createStreamProcessor("live", gateway.connect(), {
    processingMode: "batch",
    batchSize: 8192,
    memoryMapping: false,
    mmapSize: "128MB",
    zeroCopy: false,
    workerThreads: 16,
    bufferSize: "128MB",
    privacy: { detectorsOff: ["IP"] },
    enrichments: { embeddings: false, sentiment: false, textField: "body" },
    outputs: {
      results: { age: "90s", bytes: "128MB" },
      storage: { format: "lines", rollBytes: "64MiB", rollAge: "250ms", retainBytes: "1GB" },
      artifacts: false,
      events: false,
    },
  });
  assert.deepEqual(settings.enrichments, {
    embeddings: false,
    sentiment: false,
    textField: "body",
    objects: false,
    scene: false,
  });
  assert.deepEqual(settings.outputs, {
    results: { ageMs: 90_000, bytes: 128_000_000 },
    storage: { format: "lines", rollBytes: 67_108_864, rollAgeMs: 250, retainBytes: 1_000_000_000 },
    artifacts: false,
    search: false,
    events: false,
    violations: false,
  });
  assert.deepEqual([settings.processingMode, settings.batchSize], ["batch", 8192]);
  assert.equal(settings.bufferSize, 128_000_000);
  assert.deepEqual(settings.privacy.detectorsOff, ["IP"]);
  const { memoryMapping, mmapSize, zeroCopy, workerThreads } = settings;
  assert.deepEqual([memoryMapping, mmapSize, zeroCopy, workerThreads], [false, 128_000_000, false, 16]);
});

test("a stream's mapping options are those of its mapped files, and stand in the status", async (t) => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  const dir = mkdtempSync(join(tmpdir(), "millrace-processor-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, "file");
  writeFileSync(path, Buffer.alloc(200_000, "x"));
  const ways: [CreateOptions, "mapped" | "read", RegExp][] = [
    [{}, "mapped", /chunks are views/],
    [{ mmapSize: "100KB" }, "mapped", /chunks are views/],
    [{ zeroCopy: false }, "mapped", /copied out of it, since zeroCopy is false/],
    [{ memoryMapping: false }, "read", /memoryMapping is false/],
  ];
  for (const [options, dataPath, reason] of ways) {
    await using processor = await createStreamProcessor("live", client, { ...options, update: true });
    const { files } = await processor.status();
    assert.equal(files.dataPath, dataPath);
    assert.match(files.reason, reason);
    using file = processor.mmapFile(path);
    assert.deepEqual({ dataPath: file.dataPath, reason: file.reason }, files);
    if (options.mmapSize !== undefined) {
      assert.throws(() => file.iterChunks({ chunkSize: "150KB" }), { field: "chunkSize" });
    }
    const kept: Chunk[] = [];
    for await (const chunk of file.iterChunks({ chunkSize: "50KB" })) kept.push(chunk);
    assert.equal(kept.length, 4);
    if (options.zeroCopy === false) assert.equal(kept[0]?.bytes[0], "x".charCodeAt(0));
    else assert.throws(() => kept[0]?.bytes, { code: "failed_precondition" });
  }
});

test("the same settings attach, others are refused by name unless update is true", async () => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  await createStreamProcessor("live", client, { batchSize: 500 });
  await createStreamProcessor("live", client, { batchSize: 500 });
  const attached = await createStreamProcessor("live", client);
  assert.equal(attached.settings.batchSize, 500);
  await assert.rejects(createStreamProcessor("live", client, { batchSize: 600 }), {
    code: "already_exists",
    field: "batchSize",
    message: "create stream live: it exists, and batchSize is 500 there and 600 here",
  });
  await assert.rejects(
    createStreamProcessor("live", client, { batchSize: 500, outputs: { storage: true } }),
    {
      field: "outputs.storage.format",
      message: 'create stream live: it exists, and outputs.storage.format is unset there and "records" here',
    },
  );
  await assert.rejects(createStreamProcessor("live", client, { batchSize: 500, ordered: true }), {
    field: "ordered",
    message: "create stream live: it exists, and ordered is false there and true here",
  });
  const updated = await createStreamProcessor("live", client, { batchSize: 600, update: true });
  assert.equal(updated.settings.batchSize, 600);
});

test("attaching to a stream that is not there says so", async () => {
  await using gateway = await startGateway();
  await assert.rejects(attachStreamProcessor("none", gateway.connect()), { code: "not_found" });
});

test("bad options are refused by name, with a remedy, before any call", async () => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  const refused: [string, object][] = [
    ["colour", { colour: "red" }],
    ["toString", { toString: 1 }],
    ["batchSize", { batchSize: 0 }],
    ["batchSize", { batchSize: 8193 }],
    ["batchSize", { batchSize: "1000" }],
    ["processingMode", { processingMode: "realtime" }],
    ["parallelism", { parallelism: 0 }],
    ["update", { update: "yes" }],
    ["onError", { onError: "log" }],
    ["privacy.detectorOff", { privacy: { detectorOff: [] } }],
    ["privacy.detectorsOff", { privacy: { detectorsOff: "IP" } }],
    ["enrichments.embedding", { enrichments: { embedding: true } }],
    ["enrichments.sentiment", { enrichments: { sentiment: 1 } }],
    ["enrichments.textField", { enrichments: { textField: 5 } }],
    ["outputs.result", { outputs: { result: true } }],
    ["outputs.search", { enrichments: { embeddings: false }, outputs: { search: true } }],
    ["outputs.results.age", { outputs: { results: { age: "1 hour" } } }],
    ["outputs.results.bytes", { outputs: { results: { bytes: "10 MB" } } }],
    ["outputs.storage.format", { outputs: { storage: { format: "csv" } } }],
    ["bufferSize", { bufferSize: "128 MB" }],
    ["bufferSize", { bufferSize: "1MB" }],
    ["bufferSize", { bufferSize: "65GiB" }],
    ["outputs", { outputs: { results: false, artifacts: false, search: false, events: false } }],
    ["memoryMapping", { memoryMapping: 1 }],
    ["mmapSize", { mmapSize: "10 MB" }],
    ["mmapSize", { mmapSize: 1_000 }],
    ["zeroCopy", { zeroCopy: "no" }],
    ["workerThreads", { workerThreads: 257 }],
    ["asyncProcessing", { asyncProcessing: 0 }],
  ];
  for (const [field, options] of refused) {
    await assert.rejects(createStreamProcessor("live", client, options as CreateOptions), (error) => {
      assert.ok(error instanceof MillraceError);
      assert.deepEqual([error.code, error.field], ["invalid_argument", field]);
      return (error.remedy ?? "") !== "";
    });
  }
  await assert.rejects(createStreamProcessor("Live", client), { field: "name" });
  assert.deepEqual(gateway.state.calls, []);
});

test("an error keeps code, field, remedy and retry delay over the wire", async () => {
  await using gateway = await startGateway();
  const details = {
    fieldViolations: [{ field: "stream.name", description: "is taken" }],
    errorInfo: { reason: "RESOURCE_EXHAUSTED", domain: "millrace", metadata: { remedy: "Wait." } },
    retryDelayMs: 60_000,
  };
  const error = refusal(status.RESOURCE_EXHAUSTED, "too many streams", details);
  gateway.state.failures.push({ method: "createStream", error });
  await assert.rejects(createStreamProcessor("live", gateway.connect()), (caught) => {
    assert.ok(caught instanceof MillraceError);
    const { code, field, remedy, retryable, retryAfterMs, message } = caught;
    assert.deepEqual(
      { code, field, remedy, retryable, retryAfterMs, message },
      {
        code: "resource_exhausted",
        field: "stream.name",
        remedy: "Wait.",
        retryable: true,
        retryAfterMs: 60_000,
        message: "create stream live: too many streams",
      },
    );
    return caught.cause instanceof Error;
  });
});

test("a call that may pass later is made again", async () => {
  await using gateway = await startGateway();
  const error = refusal(status.UNAVAILABLE, "starting");
  gateway.state.failures.push({ method: "createStream", error }, { method: "createStream", error });
  await createStreamProcessor("live", gateway.connect());
  assert.equal(gateway.state.calls.length, 3);
});

test("a write without a key is made once", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect({ idempotency: false }));
  const artifact = await processor.getOrCreateArtifact("s1");
  gateway.state.failures.push({ method: "addText", error: refusal(status.UNAVAILABLE, "going") });
  await assert.rejects(artifact.addText("hello"), { code: "unavailable" });
  assert.equal(gateway.state.calls.filter(({ method }) => method === "addText").length, 1);
});

test("where no gateway listens the error says so", async () => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  gateway.stop();
  await assert.rejects(client.streams.get("live"), (error) => {
    assert.ok(error instanceof MillraceError);
    assert.match(error.message, /no gateway answers/);
    return error.code === "unavailable" && error.remedy === "Start Millrace, or check the address.";
  });
});

test("an artifact adds, gets and finds texts", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const artifact = await processor.getOrCreateArtifact("s1");
  const added = await artifact.addText("hello", { processImmediately: true, generateEmbeddings: true });
  assert.equal(added.id, "c1");
  assert.equal(added.content?.message.content, "text of c1");
  assert.equal((await artifact.getContent("c1")).embedded, true);
  const hits = await artifact.searchSimilar("hello", { maxResults: 3, minScore: 0.5, after: added.position });
  assert.deepEqual(
    hits.map(({ score, text }) => [score, text]),
    [[0.75, "like hello"]],
  );
  const request = gateway.state.calls.at(-1)?.request as Record<string, unknown>;
  assert.deepEqual(request["artifacts"], ["a1"]);
  assert.deepEqual([request["after"], request["afterStream"]], [{ source: "unary", offset: 1 }, "live"]);
});

test("a file source has an id, a status and an end", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const source = await processor.addFileSource({ path: "/data", pattern: "*.jsonl", pollInterval: "1s" });
  assert.equal(source.id, "source-1");
  const state = await source.status();
  assert.deepEqual([state.state, state.files, state.lastError], ["failed", 2, "permission denied"]);
  assert.deepEqual([state.holder, state.lagMessages], ["ingestion-0", undefined]);
  await source.pause();
  await source.resume();
  await source.remove();
  const asked = gateway.state.calls.slice(-3).map(({ method }) => method);
  assert.deepEqual(asked, ["pauseSource", "resumeSource", "removeSource"]);
  await assert.rejects(processor.addFileSource({ path: "/d", format: "xml" as "csv" }), { field: "format" });
  await assert.rejects(processor.addFileSource({ path: "" }), { field: "path" });
  await assert.rejects(processor.addFileSource({ path: "/d", pollInterval: "soon" }), {
    field: "pollInterval",
  });
  for (const repeat of [0, 1.5, 1_000_001]) {
    await assert.rejects(processor.addFileSource({ path: "/d", repeat }), { field: "repeat" });
  }
});

test("streams are listed over pages, paused, resumed and deleted", async () => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  for (const name of ["a", "b", "c"]) await createStreamProcessor(name, client);
  const names: string[] = [];
  for await (const { name } of client.streams.list()) names.push(name);
  assert.deepEqual(names, ["a", "b", "c"]);
  assert.equal((await client.streams.pause("a")).state, "paused");
  assert.equal((await client.streams.resume("a")).state, "active");
  const { conservation, buffer } = await client.streams.status("a");
  assert.equal(conservation.balanced, true);
  const lags = [{ sink: "store", bytes: 7 }];
  assert.deepEqual(buffer, { liveBytes: 7, quotaBytes: 9, waiting: ["gateway"], lags });
  await client.streams.delete("a");
  await assert.rejects(client.streams.get("a"), { code: "not_found" });
});

test("a token does not leave the machine in the clear by oversight", () => {
  assert.throws(() => connect({ address: "gateway.example:7070", token: "t" }), { field: "tls" });
  void connect({ address: "gateway.example:7070", token: "t", tls: false }).close();
});

test("settings of TLS that are bad are told by the field", () => {
  const bad: [object, string, RegExp][] = [
    [{ caFile: "/nowhere/ca.crt" }, "tls.caFile", /cannot be read/],
    [{ caFile: "package.json" }, "tls.caFile", /no certificate/],
    [{ ca: "no PEM" }, "tls.ca", /no certificate/],
    [{ ca: "a", caFile: "b" }, "tls", /both ca and caFile/],
    [{ serverName: "" }, "tls.serverName", /empty/],
    [{ key: "k" }, "tls", /only one of/],
  ];
  for (const [tls, field, message] of bad) assert.throws(() => connect({ tls }), { field, message });
});

test("a closed client refuses calls", async () => {
  await using gateway = await startGateway();
  const client = gateway.connect();
  await client.close();
  await assert.rejects(client.streams.get("live"), { code: "failed_precondition" });
});
