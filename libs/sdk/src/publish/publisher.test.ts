import assert from "node:assert/strict";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { PublishRefused } from "./publish-all.js";
import { createStreamProcessor } from "../stream/processor.js";
import { startGateway } from "../test-gateway/gateway.js";
import { refusal } from "../test-gateway/refusal.js";
import { MillraceError } from "../rpc/millrace-error.js";

const texts = (count: number): string[] => Array.from({ length: count }, (_, index) => `text ${index}`);

test("publish resolves to the epoch and the sequence number, in order", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const published = await Promise.all(texts(3).map((text) => processor.publish(text)));
  const [epoch] = gateway.state.epochs;
  assert.deepEqual(
    published.map(({ position }) => position),
    [0, 1, 2].map((offset) => ({ source: epoch, offset })),
  );
  assert.match(epoch ?? "", /^[a-z0-9-]{16,64}$/);
});

test("messages published together travel together", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  await processor.publish(texts(50));
  assert.deepEqual(gateway.state.frames, [50]);
});

test("no more messages are under way than there are credits", async () => {
  await using gateway = await startGateway();
  gateway.state.credits = 7;
  const processor = await createStreamProcessor("live", gateway.connect());
  await processor.publish(texts(100));
  assert.equal(gateway.state.accepted.size, 100);
  assert.ok(gateway.state.unacknowledgedMost <= 7);
});

test("without credits publish waits until there are some", async () => {
  await using gateway = await startGateway();
  gateway.state.credits = 2;
  gateway.state.holdsAcks = true;
  const processor = await createStreamProcessor("live", gateway.connect());
  let isDone = false;
  const publishing = processor.publish(texts(5)).then(() => (isDone = true));
  await gateway.until(() => gateway.state.accepted.size === 2);
  assert.equal(isDone, false);
  gateway.state.holdsAcks = false;
  gateway.changed();
  await publishing;
  assert.equal(gateway.state.accepted.size, 5);
});

test("a high message does not wait for the batch lane's credits", async () => {
  await using gateway = await startGateway();
  gateway.state.credits = 2;
  gateway.state.holdsAcks = true;
  const processor = await createStreamProcessor("live", gateway.connect());
  const batch = texts(5).map((text) => ({ text, priority: "batch" as const }));
  const publishing = processor.publish(batch);
  await gateway.until(() => gateway.state.accepted.size === 2);
  const urgent = processor.publish({ text: "urgent", priority: "high" });
  await gateway.until(() => gateway.state.accepted.size === 3);
  gateway.state.holdsAcks = false;
  gateway.changed();
  const positions = [await urgent, ...(await publishing)].map(({ position }) => position);
  assert.equal(new Set(positions.map(({ source }) => source)).size, 2, "each lane has its epoch");
  assert.deepEqual(
    positions.map(({ offset }) => offset),
    [0, 0, 1, 2, 3, 4],
  );
});

test("what was not acknowledged before a cut is sent again under the same numbers", async () => {
  await using gateway = await startGateway();
  gateway.state.holdsAcks = true;
  const processor = await createStreamProcessor("live", gateway.connect());
  const publishing = processor.publish(texts(20));
  await gateway.until(() => gateway.state.accepted.size === 20);
  gateway.state.holdsAcks = false;
  await gateway.restart();
  const published = await publishing;
  assert.equal(new Set(gateway.state.epochs).size, 1);
  assert.equal(gateway.state.duplicates, 20);
  assert.equal(gateway.state.accepted.size, 20);
  assert.deepEqual(
    published.map(({ position }) => position.offset),
    texts(20).map((_, index) => index),
  );
});

test("a refused message rejects alone, with field and remedy", async () => {
  await using gateway = await startGateway();
  gateway.state.refuse = (message) => {
    if (message.content?.value !== "text 2") return undefined;
    return { code: "invalid_argument", reason: "is not wanted", field: "text", remedy: "Send another." };
  };
  const processor = await createStreamProcessor("live", gateway.connect());
  const [first, second, third] = await Promise.allSettled(texts(3).map((text) => processor.publish(text)));
  assert.equal(first?.status, "fulfilled");
  assert.equal(second?.status, "fulfilled");
  assert.ok(third?.status === "rejected" && third.reason instanceof MillraceError);
  assert.equal(third.reason.code, "invalid_argument");
  assert.equal(third.reason.field, "text");
  assert.equal(third.reason.remedy, "Send another.");
});

test("a refusal whose answer was lost with the connection is given again", async () => {
  await using gateway = await startGateway();
  gateway.state.holdsAcks = true;
  gateway.state.refuse = (message) =>
    message.content?.value === "text 1"
      ? { code: "invalid_argument", reason: "no", field: "", remedy: "" }
      : undefined;
  const processor = await createStreamProcessor("live", gateway.connect());
  const publishing = Promise.allSettled(texts(3).map((text) => processor.publish(text)));
  await gateway.until(() => gateway.state.accepted.size === 2);
  gateway.state.holdsAcks = false;
  await gateway.restart();
  const outcomes = (await publishing).map((outcome) => outcome.status);
  assert.deepEqual(outcomes, ["fulfilled", "rejected", "fulfilled"]);
});

test("an array with a refused message says which, and what became of the others", async () => {
  await using gateway = await startGateway();
  gateway.state.refuse = (message) =>
    message.content?.value === "text 1"
      ? { code: "INVALID_ARGUMENT", reason: "no", field: "text", remedy: "" }
      : undefined;
  const processor = await createStreamProcessor("live", gateway.connect());
  const error = await processor.publish(texts(3)).catch((caught: unknown) => caught);
  assert.ok(error instanceof PublishRefused);
  assert.equal(error.field, "messages[1].text");
  assert.deepEqual([...error.refused.keys()], [1]);
  assert.deepEqual(
    error.published.map((each) => each?.position.offset),
    [0, undefined, 2],
  );
});

test("an error that a new connection does not cure rejects what is pending; a new epoch begins", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const error = refusal(status.FAILED_PRECONDITION, "the stream is paused");
  gateway.state.failures.push({ method: "publishStream", error });
  await assert.rejects(processor.publish("a"), { code: "failed_precondition" });
  const { position } = await processor.publish("b");
  assert.equal(position.offset, 0);
});

test("publishing gives up when no gateway answers for too long", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect({}, { publishGiveUpMs: 30 }));
  gateway.stop();
  await assert.rejects(processor.publish("a"), (error: MillraceError) => {
    assert.equal(error.code, "unavailable");
    return error.retryable;
  });
});

test("a message with an idempotency key goes by its own call and has a message id", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const error = refusal(status.UNAVAILABLE, "on its way down");
  gateway.state.failures.push({ method: "publish", error });
  const published = await processor.publish({ text: "a", idempotencyKey: "k1" });
  assert.equal(published.messageId, "0123456789abcdef");
  assert.deepEqual([...gateway.state.accepted.keys()], ["key/k1"]);
});

test("closing a processor sends what is pending", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const publishing = processor.publish(texts(10));
  await processor.close();
  await publishing;
  assert.equal(gateway.state.accepted.size, 10);
  await assert.rejects(processor.publish("late"), { code: "failed_precondition" });
});

test("malformed messages are refused before anything is sent", async () => {
  await using gateway = await startGateway();
  const processor = await createStreamProcessor("live", gateway.connect());
  const refused: [string, object][] = [
    ["message", {}],
    ["message", { text: "a", data: new Uint8Array(1) }],
    ["message", { text: 5 }],
    ["message.txt", { txt: "a" }],
    ["message.text", { text: "x".repeat(768 * 1024 + 1) }],
    ["message.priority", { text: "a", priority: "low" }],
    ["message.attributes", { text: "a", attributes: { n: 5 } }],
    ["message.eventTime", { text: "a", eventTime: Number.NaN }],
    ["message.sourceId", { text: "a", sourceId: "" }],
  ];
  for (const [field, message] of refused) {
    await assert.rejects(processor.publish(message), { code: "invalid_argument", field });
  }
  await assert.rejects(processor.publish(["a", {}]), { field: "messages[1]" });
  assert.equal(gateway.state.epochs.length, 0);
});
