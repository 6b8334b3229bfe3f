import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { createStreamProcessor } from "../stream/processor.js";
import { startGateway } from "../test-gateway/gateway.js";
import { refusal } from "../test-gateway/refusal.js";
import { resultMessage } from "../test-gateway/state.js";
import type { ReceivedMessage } from "./received-message.js";

async function take(messages: AsyncIterable<ReceivedMessage>, count: number): Promise<ReceivedMessage[]> {
  const taken: ReceivedMessage[] = [];
  if (count === 0) return taken;
  for await (const message of messages) {
    taken.push(message);
    if (taken.length === count) break;
  }
  return taken;
}

const ids = (messages: ReceivedMessage[]): string[] => messages.map(({ id }) => id);

const batches = (...names: string[]): ReturnType<typeof resultMessage>[][] =>
  names.map((batch) => batch.split(" ").map((id) => resultMessage(id)));

test("a text message carries all that is known of it", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  gateway.state.results = [[resultMessage("m1", "to [EMAIL]")]];
  const [message] = await take(processor.subscribe({ from: "earliest" }), 1);
  assert.deepEqual(message, {
    id: "m1",
    stream: "live",
    sourceId: "s1",
    position: { source: "epoch", offset: 7 },
    attributes: { colour: "red" },
    priority: "high",
    eventTime: new Date(1_700_000_000_500),
    acceptedTime: new Date(1_700_000_000_000),
    findings: [{ type: "EMAIL", place: "body", start: 3, length: 7, box: undefined }],
    findingsOmitted: 3,
    sentiment: { label: "positive", score: 0.5, model: "m" },
    objects: [{ label: "cup", score: 0.5, x: 1, y: 2, width: 3, height: 4, model: "o" }],
    scene: { label: "kitchen", score: 0.5, model: "s" },
    passport: [],
    kind: "text",
    content: "to [EMAIL]",
    text: "to [EMAIL]",
    resumeToken: "r1",
  });
});

test("data comes as bytes of their own", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  gateway.state.results = [[resultMessage("m1", Uint8Array.of(1, 2, 3))]];
  const [message] = await take(processor.subscribe({ from: "earliest" }), 1);
  assert.ok(message?.kind === "data");
  assert.equal(Buffer.isBuffer(message.data), false);
  assert.deepEqual([...message.data], [1, 2, 3]);
  assert.equal(message.data.buffer.byteLength, 3);
});

test("each message's token goes on right behind it, in the middle of a batch too", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  gateway.state.results = batches("a b c", "d e");
  const all = await take(processor.subscribe({ from: "earliest" }), 5);
  assert.deepEqual(ids(all), ["a", "b", "c", "d", "e"]);
  for (const [index, { resumeToken }] of all.entries()) {
    const rest = await take(processor.subscribe({ resumeToken }), 4 - index);
    assert.deepEqual(ids(rest), ids(all).slice(index + 1));
  }
});

test("a cut connection leaves neither gap nor repeat", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  gateway.state.results = batches("a b", "c d");
  const messages = processor.subscribe({ from: "earliest" });
  const taken: string[] = [];
  for await (const { id } of messages) {
    taken.push(id);
    if (id === "c") {
      await gateway.restart();
      gateway.state.results.push(...batches("e f"));
    }
    if (id === "f") break;
  }
  assert.deepEqual(taken, ["a", "b", "c", "d", "e", "f"]);
  assert.deepEqual(gateway.state.resumedFrom, ["", "r2"]);
});

test("a silent connection is given up and made anew", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect({}, { silenceMaxMs: 20 }));
  gateway.state.results = batches("a");
  gateway.state.isSilent = true;
  const taking = take(processor.subscribe({ from: "earliest" }), 1);
  await gateway.until(() => gateway.state.resumedFrom.length >= 2);
  gateway.state.isSilent = false;
  gateway.changed();
  assert.deepEqual(ids(await taking), ["a"]);
});

test("a gap is told, with how many batches are gone", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  gateway.state.results = batches("a", "b", "c");
  gateway.state.resultsFrom = 2;
  const gaps: number[] = [];
  const options = { from: "earliest" as const, onGap: (gap: { batches: number }) => gaps.push(gap.batches) };
  assert.deepEqual(ids(await take(processor.subscribe(options), 1)), ["c"]);
  assert.deepEqual(gaps, [2]);
});

test("the signal ends the iteration without an error", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const stopping = new AbortController();
  const reading = take(processor.subscribe({ signal: stopping.signal }), 1);
  await gateway.until(() => gateway.state.resumedFrom.length === 1);
  stopping.abort();
  assert.deepEqual(await reading, []);
});

test("an error that reconnecting does not cure is thrown", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const error = refusal(status.OUT_OF_RANGE, "the token is none of ours");
  gateway.state.failures.push({ method: "subscribe", error });
  await assert.rejects(take(processor.subscribe({ resumeToken: "r0" }), 1), {
    code: "out_of_range",
    message: "subscribe to live: the token is none of ours",
  });
});

test("a stream without results can't be subscribed to", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect(), { outputs: { results: false } });
  assert.throws(() => processor.subscribe(), { code: "failed_precondition", field: "outputs.results" });
  assert.throws(() => processor.onTextMessage(() => undefined), { code: "failed_precondition" });
});
