import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { PublishRequest } from "@millrace/proto/message";
import { createStreamProcessor } from "@millrace/sdk";
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from "@millrace/testkit";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";
import { openRawRpc, type RawRpc } from "../system/raw-rpc.js";

const publishRpc = "millrace.message.v1.PublishService/Publish";
/** Planted in the message: no span may show it. */
const words = ["aubergine", "kingfisher", "lighthouse", "marzipan"];
const [text = "", sourceId = "", attribute = "", key = ""] = words;

/** Each hop on the way from the gateway to the file; the next one's parent is the one before. */
const wayToStore = [
  ["gateway", publishRpc],
  ["gateway", "append to buffer"],
  ["buffer", "millrace.buffer.v1.BufferService/Append"],
  ["buffer", "send raw"],
  ["privacy", "process privacy-high"],
  ["privacy", "send clean"],
  ["inference", "process inference-high"],
  ["inference", "send enriched"],
  ["output", "process store-high"],
];

describe("one trace", () => {
  let system: TestSystem;
  let otlp: OtlpReceiver;
  let rpc: RawRpc;
  before(async () => {
    otlp = await startOtlpReceiver();
    system = await startTestSystem({ env: otlp.env });
    rpc = openRawRpc(`127.0.0.1:${system.described.ports.grpc}`);
    await using processor = await createStreamProcessor("traced", system.client, {
      outputs: { storage: { format: "records", rollAge: "100ms" } },
    });
    assert.equal(processor.name, "traced");
  });
  after(async () => {
    rpc.close();
    await system.stop();
    await otlp.stop();
  });

  const spansOf = (traceId: string): ReceivedSpan[] =>
    otlp.spans().filter((span) => span.traceId === traceId);
  const publish = async (traceparent: string, idempotencyKey: string): Promise<void> => {
    const request = PublishRequest.fromPartial({
      stream: "traced",
      content: { $case: "text", value: `the ${text} is ripe` },
      sourceId,
      attributes: { [attribute]: attribute },
      idempotencyKey,
    });
    const bytes = PublishRequest.encode(request).finish();
    const { code, message } = await rpc.unary(`/${publishRpc}`, bytes, { traceparent });
    assert.equal(code, "OK", message);
  };

  it("goes from the caller through Publish to each sink, link by link", async () => {
    const traceId = "4bf92f3577b34da6a3ce929d0e0e4736";
    const callerId = "00f067aa0ba902b7";
    await publish(`00-${traceId}-${callerId}-01`, key);
    const sinks = ["store", "results", "search"].map((sink) => `process ${sink}-high`);
    const ends = [...sinks, "send result", "send embedding"];
    const isComplete = (): boolean => ends.every((end) => spansOf(traceId).some(({ name }) => name === end));
    await until(isComplete, ends.join(", "));
    const spans = spansOf(traceId);
    const byId = new Map(spans.map((span) => [span.spanId, span]));
    assert.equal(byId.size, spans.length, "each span is told once");

    const roots = spans.filter(({ parentSpanId }) => !byId.has(parentSpanId));
    assert.deepEqual(
      roots.map(({ name, parentSpanId }) => [name, parentSpanId]),
      [[publishRpc, callerId]],
    );
    assert.deepEqual(wayUp(spans, "process store-high"), wayToStore);
    for (const end of ends) assert.deepEqual(wayUp(spans, end).slice(0, 8), wayToStore.slice(0, 8), end);
  });

  it("begins at Publish where the caller has none, and is the caller's own", async () => {
    const [first, second] = ["a".repeat(32), "b".repeat(32)];
    await publish(`00-${first}-${"1".repeat(16)}-01`, `${key} 1`);
    await publish(`00-${second}-${"2".repeat(16)}-01`, `${key} 2`);
    await publish("", `${key} 3`);
    await until(async () => (await storedLines(system, "traced")).length === 4, "all messages in the store");
    const stored = (): ReceivedSpan[] => otlp.spans().filter(({ name }) => name === "process store-high");
    await until(() => stored().length === 4, "a span of the store for each");
    assert.equal(new Set(stored().map((span) => span.traceId)).size, 4);
    for (const span of stored()) {
      const way = wayUp(spansOf(span.traceId), "process store-high");
      assert.deepEqual(way, wayToStore, span.traceId);
    }
  });

  it("shows kinds of work and counts, and nothing of a message", () => {
    assert.ok(otlp.spans().length > 20);
    for (const word of words) assert.ok(!otlp.text().includes(word), `${word} is in a span`);
    const known =
      /^(rpc\.(system|method)|messaging\.(system|operation\.\w+|destination\.name|batch\.message_count))$/;
    const names = new Set(otlp.spans().flatMap(({ attributes }) => Object.keys(attributes)));
    assert.deepEqual(
      [...names].filter((name) => !known.test(name)),
      [],
    );
  });
});

/** Service and name of each span from the first one down to the one of that name. */
function wayUp(spans: readonly ReceivedSpan[], name: string): string[][] {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const way: string[][] = [];
  let span = spans.find((each) => each.name === name);
  for (; span !== undefined; span = byId.get(span.parentSpanId)) {
    way.unshift([span.service, span.name]);
    assert.ok(way.length <= spans.length, "parents make no ring");
  }
  return way;
}
