import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { credentials, type ServiceError, status } from "@grpc/grpc-js";
import { PublishRequest, PublishServiceClient } from "@millrace/proto/message";
import { decodeRpcStatus, type RpcStatus } from "@millrace/proto/rpc-status";
import { createStreamProcessor, type StreamEvent, type StreamProcessor } from "@millrace/sdk";
import { findAboveCap, findAltered, findDuplicated, findLost } from "@millrace/testkit";
import { watchUse } from "../bench/system/process-use.js";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";

/** 32 MB in a file, against a quota of 2 MiB. */
const lines = 32_000;
const quotaBytes = 2 * 1024 * 1024;
const batchBytesMax = 4 * 1024 * 1024;
/** Of each service's own memory. */
const memoryCapMb = 300;

const toFiles = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: {
    results: false,
    artifacts: false,
    search: false,
    events: false,
    storage: { format: "lines", rollAge: "1s" },
  },
} as const;

const toSearch = {
  enrichments: { embeddings: true, sentiment: false },
  outputs: { results: false, artifacts: false, search: true, events: false },
} as const;

describe("F8: a stream that is full", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(async () => {
    signal(system, "output", "SIGCONT");
    await system.stop();
  });

  it("makes its own senders wait, and nobody else; nothing is lost when its sink goes on", async () => {
    const dir = join(system.inputDir, "full");
    await mkdir(dir);
    const fromFile = Array.from({ length: lines }, (_, at) => `file ${at} `.padEnd(1_000, "x"));
    const pushed = Array.from({ length: 500 }, (_, at) => `push ${at} `.padEnd(1_000, "y"));
    await writeFile(join(dir, "input.jsonl"), `${fromFile.join("\n")}\n`);
    await using full = await createStreamProcessor("full", system.client, {
      ...toFiles,
      bufferSize: quotaBytes,
    });
    await using other = await createStreamProcessor("other", system.client, toFiles);
    await using found = await createStreamProcessor("found", system.client, toSearch);
    const events: StreamEvent<"backpressure">["payload"][] = [];
    full.onEvent("backpressure", ({ payload }) => events.push(payload));
    await publishTimed(other, 20, "warm");
    const healthyMs = await publishTimed(other, 100, "before");

    signal(system, "output", "SIGSTOP");
    const use = watchUse(system.described.stateDir);
    const source = await full.addFileSource({ path: dir, pattern: "*.jsonl", pollInterval: "50ms" });
    await until(async () => (await source.status()).state === "waiting", "the file source waits");
    assert.match((await source.status()).lastError ?? "", /full is full/);
    const publishing = full.publish(pushed.map((text) => ({ text })));

    const refused = await refusalOf(system, { stream: "full", content: { $case: "text", value: "one" } });
    assert.equal(refused.code, status.RESOURCE_EXHAUSTED);
    assert.deepEqual(refused.quotaViolations?.[0]?.subject, "stream:full");
    assert.ok((refused.retryDelayMs ?? 0) > 0, "says when to come again");
    assert.match(refused.errorInfo?.metadata["remedy"] ?? "", /bufferSize/);

    const { buffer } = await full.status();
    assert.ok(buffer !== undefined, "buffer answers");
    assert.ok(buffer.liveBytes >= quotaBytes && buffer.liveBytes < quotaBytes + batchBytesMax, "bounded");
    assert.equal(buffer.quotaBytes, quotaBytes);
    assert.deepEqual(buffer.waiting, ["gateway", "ingestion"]);
    assert.equal(buffer.lags[0]?.sink, "store");
    await until(() => events.length > 0, "the event");
    assert.deepEqual([events[0]?.full, events[0]?.waitingFor], [true, "buffer quota"]);
    assert.match(events[0]?.because ?? "", /lags by/);
    const metrics = await metricsOf(system, "buffer");
    assert.match(metrics, /millrace_backpressure_waiting\{waiter="ingestion",for="buffer quota".*\} 1/);
    assert.match(metrics, /millrace_stream_live_bytes\{stream="full"/);
    assert.match(metrics, new RegExp(`millrace_stream_quota_bytes\\{stream="full".*\\} ${quotaBytes}`));

    // Two whose sinks wait as well and have room, and one whose sink goes on.
    const besideMs = await publishTimed(other, 100, "beside");
    assert.ok(besideMs < Math.max(2 * healthyMs, 500), `${besideMs} ms beside a full one, ${healthyMs} ms`);
    const { position } = await found.publish({ text: "The parcel came late.", sourceId: "c" });
    const { hits } = await found.search("late delivery", { after: { stream: "found", position } });
    assert.equal(hits.length, 1);

    signal(system, "output", "SIGCONT");
    await publishing;
    const all = [...fromFile, ...pushed];
    await until(
      async () => (await storedLines(system, "full")).length >= all.length,
      `${all.length} stored lines`,
      { timeoutMs: 180_000 },
    );
    await until(async () => (await liveBytes(full)) === 0, "no live bytes");
    assert.deepEqual(checkDelivery(all, await storedLines(system, "full")), clean);
    const { conservation } = await full.status();
    assert.deepEqual(
      [conservation.in, conservation.out, conservation.dead, conservation.balanced],
      [all.length, all.length, 0, true],
    );
    await until(() => events.at(-1)?.full === false, "the event that it has room");
    await until(async () => (await source.status()).state === "running", "the file source runs");
    const peaks = [...use.stop()].map(([name, { rssAnonMb }]) => ({ name, value: rssAnonMb }));
    assert.deepEqual(findAboveCap(peaks, memoryCapMb), []);
  });

  it("is as full after a restart of buffer, and goes on when its sink does", async () => {
    await using full = await createStreamProcessor("kept", system.client, {
      ...toFiles,
      bufferSize: "1MiB",
    });
    signal(system, "output", "SIGSTOP");
    const texts = Array.from({ length: 3_000 }, (_, at) => `push ${at} `.padEnd(1_000, "z"));
    const publishing = full.publish(texts.map((text) => ({ text })));
    await until(() => isFull(full), "it is full");
    const before = await liveBytes(full);
    signal(system, "buffer", "SIGKILL");
    await until(async () => (await liveBytes(full)) !== undefined, "buffer is back");
    const restored = (await liveBytes(full)) ?? 0;
    // What was on its way when it was killed may have become durable.
    assert.ok(restored >= (before ?? 0), `${restored} of ${before} bytes`);
    const refused = await refusalOf(system, { stream: "kept", content: { $case: "text", value: "one" } });
    assert.equal(refused.code, status.RESOURCE_EXHAUSTED);
    signal(system, "output", "SIGCONT");
    await publishing;
    await until(async () => (await storedLines(system, "kept")).length >= texts.length, "stored lines");
    await until(async () => (await liveBytes(full)) === 0, "no live bytes");
    assert.deepEqual(checkDelivery(texts, await storedLines(system, "kept")), clean);
  });

  it("has room again when the output that lags is taken away, or the stream is deleted", async () => {
    const outputs = { ...toFiles.outputs, results: true };
    const options = { ...toFiles, outputs, bufferSize: "1MiB" } as const;
    await using both = await createStreamProcessor("changed", system.client, options);
    signal(system, "output", "SIGSTOP");
    const texts = Array.from({ length: 4_000 }, (_, at) => `push ${at} `.padEnd(1_000, "z"));
    const publishing = both.publish(texts.map((text) => ({ text })));
    await until(() => isFull(both), "it is full");
    await using results = await createStreamProcessor("changed", system.client, {
      ...options,
      outputs: { ...outputs, storage: false },
      update: true,
    });
    signal(system, "output", "SIGCONT");
    await publishing;
    await until(async () => (await liveBytes(results)) === 0, "no live bytes");
    signal(system, "output", "SIGSTOP");
    const again = results.publish(texts.map((text) => ({ text })));
    const gone = assert.rejects(again);
    await until(() => isFull(results), "it is full again");
    await system.client.streams.delete("changed");
    await gone;
    signal(system, "output", "SIGCONT");
    await until(async () => !(await metricsOf(system, "buffer")).includes('stream="changed"'), "no metric");
    await using anew = await createStreamProcessor("changed", system.client, toFiles);
    assert.equal(await liveBytes(anew), 0);
  });
});

const clean = { lost: [], repeated: [], foreign: [] };

function checkDelivery(sent: readonly string[], arrived: readonly string[]) {
  const history = {
    sent: sent.map((line, position) => ({
      id: line,
      source: "",
      position,
      content: line,
      acknowledged: true,
    })),
    arrived: arrived.map((line) => ({ id: line, content: line })),
  };
  return { lost: findLost(history), repeated: findDuplicated(history), foreign: findAltered(history) };
}

function signal(system: TestSystem, name: string, how: NodeJS.Signals): void {
  const pid = system.programs().find((program) => program.name === name)?.pid;
  assert.ok(pid !== undefined, `${name} runs`);
  process.kill(pid, how);
}

/** Undefined: buffer does not answer, or gateway not in time. */
async function liveBytes(processor: StreamProcessor): Promise<number | undefined> {
  const status = await processor.status().catch(() => undefined);
  return status?.buffer?.liveBytes;
}

async function isFull(processor: StreamProcessor): Promise<boolean> {
  const status = await processor.status().catch(() => undefined);
  return (status?.buffer?.waiting.length ?? 0) > 0;
}

async function metricsOf(system: TestSystem, name: "buffer"): Promise<string> {
  const port = system.described.ports.http[name];
  return (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
}

/** 99 of 100 are durable within so many milliseconds, one after the other. */
async function publishTimed(processor: StreamProcessor, count: number, name: string): Promise<number> {
  const took: number[] = [];
  for (let at = 0; at < count; at++) {
    const started = performance.now();
    await processor.publish({ text: `${name} ${at}` });
    took.push(performance.now() - started);
  }
  return took.sort((one, other) => one - other)[Math.ceil(count * 0.99) - 1] ?? 0;
}

/** How a publish by hand is refused, with all that its status says. */
async function refusalOf(
  system: TestSystem,
  request: Parameters<typeof PublishRequest.fromPartial>[0],
): Promise<RpcStatus> {
  const client = new PublishServiceClient(
    `127.0.0.1:${system.described.ports.grpc}`,
    credentials.createInsecure(),
  );
  try {
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.publish(PublishRequest.fromPartial(request), (answer) => resolve(answer));
    });
    const trailer = error?.metadata.get("grpc-status-details-bin")[0];
    assert.ok(trailer instanceof Uint8Array, `refused with details: ${error?.message}`);
    return decodeRpcStatus(trailer);
  } finally {
    client.close();
  }
}
