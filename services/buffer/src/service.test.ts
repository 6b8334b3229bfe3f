import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { OpenBatch } from "@millrace/envelope";
import { decodeBatch, idText } from "@millrace/envelope";
import { buildBatch, inlineBatch } from "@millrace/envelope/testing";
import { createPublisher, createStreamStore } from "@millrace/messaging";
import { natsWorkbench } from "@millrace/messaging/testing";
import { type AppendRequest, BufferServiceClient, Sender } from "@millrace/proto/buffer";
import { Stream } from "@millrace/proto/stream";
import {
  callUnary,
  createLifecycle,
  type GrpcServer,
  insecure,
  internalChannel,
  parseConfig,
  silentLogger,
  systemClock,
} from "@millrace/runtime";
import { eventually, testRuntime } from "@millrace/runtime/testing";
import { openBodyStore } from "@millrace/segments";
import { bufferConfig } from "./config.js";
import { buffer } from "./service.js";

const bench = natsWorkbench();
const segmentBytes = 4 * 1024 * 1024;
const rawSubject = (stream: string): string => `raw.batch.any.default.${stream}`;

/** A buffer whose last life made a batch of stream `kept` durable, and ended before it was on the bus. */
async function bufferWithLeftovers(t: TestContext, recovered: OpenBatch) {
  const dir = mkdtempSync(join(tmpdir(), "millrace-buffer-"));
  const [rawDir, cleanDir] = [join(dir, "raw"), join(dir, "clean")];
  const log = { side: "raw", owner: "buffer-0", node: "local", liveBytesMax: 8 * segmentBytes } as const;
  const earlier = await openBodyStore({ ...log, sideDir: rawDir, segmentBytes, monotonic: () => 0 });
  await earlier.place(recovered, rawSubject(recovered.header.stream));
  await earlier.close();
  const nats = bench.nats();
  const given = {
    nats: { url: nats.url, monitorUrl: nats.monitorUrl, seedFile: `${nats.keysDir}/buffer.nk` },
    grpc: { port: 0 },
    segments: { rawDir, cleanDir, segmentBytes, liveBytesMax: 8 * segmentBytes },
  };
  const runtime = testRuntime();
  const components = await buffer(parseConfig(bufferConfig, given, "test"), runtime);
  const { metrics } = runtime;
  const lifecycle = createLifecycle(components, silentLogger);
  const server = components.find(({ name }) => name === "grpc-server") as GrpcServer;
  t.after(async () => {
    await lifecycle.stop(2_000);
    rmSync(dir, { recursive: true, force: true });
  });
  return { lifecycle, server, metrics };
}

async function createStreams(...streams: Parameters<typeof Stream.fromPartial>[0][]): Promise<void> {
  const store = await createStreamStore(await bench.connect("gateway"));
  for (const [at, more] of streams.entries()) {
    const outputs = { results: { ageSeconds: 60, bytes: 1_000_000 } };
    await store.put("default", Stream.fromPartial({ createdMs: at + 1, outputs, ...more }), 0);
  }
}

/** Fills RAW with messages of nobody until it takes no more; the end of that. */
async function fillRaw(): Promise<() => Promise<unknown>> {
  const { manager } = bench.admin();
  const { config } = await manager.streams.info("RAW");
  await manager.streams.update("RAW", { ...config, max_bytes: 256 * 1024 });
  const publisher = createPublisher(await bench.connect("buffer"));
  const fill = async (bytes: number, n = 0): Promise<void> => {
    const data = new Uint8Array(bytes);
    await publisher.publish({ subject: rawSubject("filler"), data, id: `filler-${bytes}-${n}` });
    return fill(bytes, n + 1);
  };
  for (const bytes of [10_000, 1_000, 1]) await assert.rejects(fill(bytes), { code: "resource_exhausted" });
  return () => manager.streams.purge("RAW", { filter: rawSubject("filler") });
}

/** Ids of the stored batches of a stream, in order. */
async function storedIds(jetStream: string, stream: string): Promise<string[]> {
  const { manager } = bench.admin();
  const { state } = await manager.streams.info(jetStream);
  const ids: string[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const stored = await manager.streams.getMessage(jetStream, { seq }).catch(() => null);
    if (stored?.subject.endsWith(`.${stream}`)) {
      ids.push(idText(decodeBatch(stored.data).header?.id ?? new Uint8Array()));
    }
  }
  return ids;
}

test("a full RAW keeps buffer from no start, other ways go on, and order is kept behind it", async (t) => {
  await createStreams(
    { name: "kept", ordered: true },
    { name: "plain" },
    { name: "exempt", privacy: { exempt: true } },
  );
  const recovered = buildBatch({ texts: ["x".repeat(70_000)], stream: "kept" });
  const next = buildBatch({ texts: ["next"], stream: "kept", from: 1 });
  const makeRoom = await fillRaw();
  const { lifecycle, server, metrics } = await bufferWithLeftovers(t, recovered);
  await lifecycle.start();
  assert.deepEqual(lifecycle.unhealthy(), new Map());
  const client = new BufferServiceClient(`127.0.0.1:${server.port()}`, insecure, internalChannel);
  t.after(() => client.close());
  const append = (open: OpenBatch) => {
    const request: AppendRequest = { batch: inlineBatch(open), sender: Sender.SENDER_GATEWAY };
    const call = { attempted: "append", deadlineMs: 10_000, now: systemClock.now() };
    return callUnary(client.append.bind(client), request, call);
  };
  const exempt = await append(buildBatch({ texts: ["a"], stream: "exempt" }));
  assert.equal(exempt.jetStream, "ENRICHED");
  const full = { code: "resource_exhausted", subject: "bus:raw" };
  await assert.rejects(append(buildBatch({ texts: ["a"], stream: "plain" })), full);
  await assert.rejects(append(next), { code: "resource_exhausted", subject: "bus:recovered" });
  const shown = /millrace_backpressure_waiting\{waiter="gateway",for="bus:raw".*\} 1\n/;
  await eventually(async () => shown.test(await metrics.text()), { what: "who waits for RAW is told" });
  // What it has made durable counts as accepted.
  await append(recovered);
  await makeRoom();
  await eventually(() => append(next), { what: "the next batch is accepted" });
  const ids = [recovered, next].map(({ header }) => idText(header.id));
  assert.deepEqual(await storedIds("RAW", "kept"), ids);
});
