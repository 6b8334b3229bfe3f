import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { createStreamProcessor, type StreamProcessor } from "../stream/processor.js";
import { startGateway, type TestGateway } from "../test-gateway/gateway.js";
import { refusal } from "../test-gateway/refusal.js";
import { newDataEvent, resultMessage } from "../test-gateway/state.js";

function deliver(gateway: TestGateway, ...ids: string[]): void {
  gateway.state.results.push(ids.map((id) => resultMessage(id)));
  gateway.changed();
}

/** A handler whose calls end when the test says so. */
function heldHandler(processor: StreamProcessor, gateway: TestGateway) {
  const started: string[] = [];
  const finish: (() => void)[] = [];
  const handler = processor.onTextMessage(async ({ id }) => {
    started.push(id);
    await new Promise<void>((resolve) => {
      finish.push(resolve);
      gateway.changed();
    });
  });
  return { handler, started, finish };
}

test("handlers get the messages of their kind, in order", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const texts: string[] = [];
  const sizes: number[] = [];
  const onText = processor.onTextMessage((message) => {
    texts.push(message.content);
    gateway.changed();
  });
  const onData = processor.onDataMessage((message) => {
    sizes.push(message.content.byteLength);
    gateway.changed();
  });
  await Promise.all([onText.ready, onData.ready]);
  gateway.state.results.push([
    resultMessage("a", "one"),
    resultMessage("b", Uint8Array.of(1)),
    resultMessage("c", "two"),
  ]);
  gateway.changed();
  await gateway.until(() => texts.length === 2 && sizes.length === 1);
  assert.deepEqual([texts, sizes], [["one", "two"], [1]]);
});

test("calls start in order, no more than parallelism at a time", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect(), { parallelism: 2 });
  const { handler, started, finish } = heldHandler(processor, gateway);
  await handler.ready;
  deliver(gateway, "a", "b", "c", "d");
  await gateway.until(() => started.length === 2);
  finish[1]?.();
  await gateway.until(() => started.length === 3);
  assert.deepEqual(started, ["a", "b", "c"]);
  finish[0]?.();
  await gateway.until(() => started.length === 4);
  const stopping = handler.stop();
  for (const each of finish) each();
  await stopping;
});

test("without asyncProcessing one call runs at a time, whatever the parallelism", async () => {
  await using gateway = await startGateway();
  const options = { parallelism: 8, asyncProcessing: false };
  const processor = await createStreamProcessor("live", gateway.connect(), options);
  const { handler, started, finish } = heldHandler(processor, gateway);
  await handler.ready;
  deliver(gateway, "a", "b", "c");
  for (const count of [1, 2, 3]) {
    await gateway.until(() => started.length === count);
    assert.deepEqual((await processor.status()).handlers, { parallelism: 1, underWay: 1 });
    assert.equal(started.length, count, "no other call has begun meanwhile");
    finish[count - 1]?.();
  }
  await handler.stop();
  assert.deepEqual((await processor.status()).handlers, { parallelism: 1, underWay: 0 });
});

test("a handler that throws is reported and stops nothing", async () => {
  await using gateway = await startGateway();
  const failed: (string | undefined)[] = [];
  const processor = await createStreamProcessor("live", gateway.connect(), {
    onError: (error, { message }) => {
      failed.push(message?.id);
      throw error;
    },
  });
  const handled: string[] = [];
  const handler = processor.onTextMessage(({ id }) => {
    if (id === "a") throw new Error("mine");
    handled.push(id);
    gateway.changed();
  });
  await handler.ready;
  deliver(gateway, "a", "b");
  await gateway.until(() => handled.length === 1);
  assert.deepEqual([failed, handled], [["a"], ["b"]]);
});

test("a handler goes on behind the last message after a cut", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const handled: string[] = [];
  const handler = processor.onTextMessage(({ id }) => {
    handled.push(id);
    gateway.changed();
  });
  await handler.ready;
  deliver(gateway, "a", "b");
  await gateway.until(() => handled.length === 2);
  gateway.stop();
  deliver(gateway, "c");
  await gateway.restart();
  await gateway.until(() => handled.length === 3);
  assert.deepEqual(handled, ["a", "b", "c"]);
});

test("new data events come once a message", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const payloads: unknown[] = [];
  const handler = processor.onEvent("new_data", (event) => {
    const { content, ...rest } = event.payload;
    payloads.push({ ...rest, content: content.id, isSame: content === event.content });
    gateway.changed();
  });
  await handler.ready;
  gateway.state.events.push(newDataEvent("e1", ["m1", "m2"]));
  gateway.changed();
  await gateway.until(() => payloads.length === 2);
  assert.deepEqual(payloads, [
    { messageId: "m1", sourceId: "s1", priority: "high", content: "m1", isSame: true },
    { messageId: "m2", sourceId: "s1", priority: "high", content: "m2", isSame: true },
  ]);
});

test("a subscription that ends for good is reported once", async () => {
  await using gateway = await startGateway();
  const errors: unknown[] = [];
  const processor = await createStreamProcessor("live", gateway.connect(), {
    onError: (error) => {
      errors.push(error);
      gateway.changed();
    },
  });
  gateway.state.failures.push({ method: "consume", error: refusal(status.NOT_FOUND, "it was deleted") });
  processor.onTextMessage(() => undefined);
  await gateway.until(() => errors.length === 1);
  assert.equal((errors[0] as { code: string }).code, "not_found");
});

test("what is published after a handler was registered reaches it", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  processor.onTextMessage(() => undefined);
  await processor.publish("a");
  assert.equal(gateway.state.groups.size, 1);
});

test("an event that nobody sends is refused by name", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const register = processor.onEvent as (type: string, handle: () => void) => unknown;
  assert.throws(() => register("new_date", () => undefined), { code: "invalid_argument", field: "type" });
});
