import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { createStreamProcessor, type StreamProcessor } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

const noModels = { enrichments: { embeddings: false, sentiment: false } } as const;
const quiet = { artifacts: false, search: false, events: false } as const;

describe("priority", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(async () => {
    // One that stands still could not be stopped.
    for (const stage of ["privacy", "output"]) signal(stage, "SIGCONT");
    await system.stop();
  });

  it("high is handled at once, the rest is queued for batch processing", async () => {
    await using stream = await createStreamProcessor("orders", system.client, {
      ...noModels,
      outputs: { ...quiet, events: true },
    });
    const processed: string[] = [];
    const queued: string[] = [];
    const processHighPriority = async (data: { sourceId: string }) => void processed.push(data.sourceId);
    const queueForBatchProcessing = async (data: { sourceId: string }) => void queued.push(data.sourceId);
    stream.onEvent("new_data", async ({ payload }) => {
      if (payload.priority === "high") await processHighPriority(payload);
      else await queueForBatchProcessing(payload);
    });
    const orders = Array.from({ length: 200 }, (_, at) => ({
      text: `order ${at}`,
      sourceId: `order-${at}`,
      priority: at % 50 === 0 ? ("high" as const) : ("batch" as const),
    }));
    await stream.publish(orders);
    await until(() => processed.length + queued.length === orders.length, "an event for each order");
    const idsOf = (priority: string): string[] =>
      orders.filter((order) => order.priority === priority).map(({ sourceId }) => sourceId);
    assert.deepEqual(processed.sort(), idsOf("high").sort());
    assert.deepEqual(queued.sort(), idsOf("batch").sort());
  });

  it("a high message passes a model that is busy with the batch lane", async () => {
    await using backlog = await createStreamProcessor("backlog", system.client, {
      processingMode: "batch",
      outputs: { ...quiet, search: true },
    });
    await using urgent = await createStreamProcessor("urgent", system.client, {
      outputs: { ...quiet, search: true },
    });
    const text = "The delivery came late, and the parcel was open when it was handed over to the neighbour.";
    await backlog.publish(Array.from({ length: 4_000 }, (_, at) => ({ text: `${at}: ${text}` })));
    await until(async () => (await backlog.status()).conservation.in === 4_000, "the backlog is counted");
    await passes(urgent, backlog);
  });

  for (const stage of ["privacy", "output"]) {
    it(`high messages pass what has piled up before ${stage}`, async () => {
      const outputs = { ...quiet, storage: { format: "lines" } } as const;
      const batch = { ...noModels, processingMode: "batch", outputs } as const;
      await using bulk = await createStreamProcessor(`before-${stage}`, system.client, batch);
      await using urgent = await createStreamProcessor(`past-${stage}`, system.client, {
        ...noModels,
        outputs,
      });
      signal(stage, "SIGSTOP");
      const text = "the quick brown fox jumps over the lazy dog ".repeat(20);
      const path = join(system.inputDir, stage);
      await mkdir(path);
      await writeFile(
        join(path, "lines.jsonl"),
        `{"text":"${text}","from":"a@example.com"}\n`.repeat(200_000),
      );
      await bulk.addFileSource({ path, pattern: "*.jsonl", pollInterval: "50ms" });
      await until(async () => (await bulk.status()).conservation.in === 200_000, "the bulk is accepted");
      const texts = Array.from({ length: 5 }, (_, at) => `urgent ${at}`);
      await urgent.publish(texts.map((each) => ({ text: each, priority: "high" as const })));
      signal(stage, "SIGCONT");
      const received: unknown[] = [];
      // Looked up as soon as the first one is out: the bulk is half a second of work.
      let inFlight = 0;
      for await (const { content } of urgent.subscribe({ from: "earliest" })) {
        if (received.push(content) === 1) inFlight = (await bulk.status()).conservation.inFlight;
        if (received.length === texts.length) break;
      }
      assert.deepEqual(received, texts);
      assert.ok(inFlight > 0, "what came before it is still on its way");
      await until(async () => (await bulk.status()).conservation.out === 200_000, "the bulk in the end");
    });
  }

  function signal(stage: string, what: NodeJS.Signals): void {
    for (const { name, pid } of system.programs()) {
      if (name === stage && pid !== undefined) process.kill(pid, what);
    }
  }

  /** Five high messages, one after the other, each out while the other stream has still work under way. */
  async function passes(urgent: StreamProcessor, busy: StreamProcessor): Promise<void> {
    const received = urgent.subscribe({ from: "earliest" })[Symbol.asyncIterator]();
    for (let at = 0; at < 5; at++) {
      const before = (await busy.status()).conservation;
      await urgent.publish({ text: `urgent ${at}`, priority: "high" });
      const { value } = await received.next();
      assert.equal(value?.content, `urgent ${at}`);
      const { inFlight, out } = (await busy.status()).conservation;
      assert.ok(inFlight > 0, "the batch lane was busy all the time");
      assert.ok(out < before.in, "and some of what was accepted before it is still there");
    }
    await received.return?.();
  }
});
