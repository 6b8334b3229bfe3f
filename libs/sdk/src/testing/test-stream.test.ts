import assert from "node:assert/strict";
import test from "node:test";
import { BatchError, PermanentError, RetryLater } from "../consume/outcome.js";
import { testStream } from "./index.js";

test("a handler is called with what is published, and is done when it returns", async () => {
  await using stream = testStream();
  const seen: string[] = [];
  stream.onTextMessage((message) => void seen.push(message.content));
  await stream.publish(["one", "two"]);
  assert.deepEqual(seen, ["one", "two"]);
  assert.equal(stream.acked.length, 2);
});

test("a handler that throws gets the message again, later each time, then it is dead", async () => {
  await using stream = testStream({ group: { maxAttempts: 3 } });
  const attempts: number[] = [];
  stream.onTextMessage(({ attempt }) => {
    attempts.push(attempt);
    throw new TypeError("secret");
  });
  await stream.publish("bad");
  assert.deepEqual(
    stream.retries.map(({ inMs, reason }) => [inMs, reason]),
    [[1_000, "the handler threw TypeError"]],
  );
  await stream.advance("1s");
  assert.deepEqual(attempts, [1, 2]);
  await stream.advance("2s");
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.deepEqual([stream.retries.length, stream.deadLetters.length], [0, 1]);
});

test("a permanent error is not tried again, and what is to be retried later counts no attempt", async () => {
  await using stream = testStream();
  const attempts: number[] = [];
  stream.onTextMessage(({ content, attempt }) => {
    if (content === "never") throw new PermanentError("unknown customer");
    attempts.push(attempt);
    if (attempts.length < 3) throw new RetryLater({ delay: "10s" });
  });
  await stream.publish(["never", "later"]);
  assert.deepEqual(
    stream.deadLetters.map(({ message, reason }) => [message.content, reason]),
    [["never", "unknown customer"]],
  );
  await stream.advance("20s");
  assert.deepEqual(attempts, [1, 1, 1]);
  assert.equal(stream.acked.length, 1);
});

test("each message of a batch has an outcome of its own", async () => {
  await using stream = testStream({ parallelism: 1 });
  const calls: string[][] = [];
  stream.batchProcessor({ batchSize: 4 }, (messages) => {
    calls.push(messages.map(({ content }) => String(content)));
    if (calls.length === 1) {
      messages[0]?.fail(new Error("zero"));
      return messages.map(({ content }) => (content === "1" ? new PermanentError("one") : "fine"));
    }
    if (calls.length === 2) throw new BatchError(new Map([[0, new RetryLater({ delay: "5s" })]]));
    return undefined;
  });
  await stream.publish(["0", "1", "2", "3", "4", "5"]);
  assert.deepEqual(calls, [
    ["0", "1", "2", "3"],
    ["4", "5"],
  ]);
  assert.equal(stream.acked.length, 3);
  assert.deepEqual(
    stream.retries.map(({ message, inMs }) => [message.content, inMs > 900]),
    [
      ["0", true],
      ["4", true],
    ],
  );
  await stream.advance("10s");
  assert.deepEqual(calls.slice(2), [["0"], ["4"]]);
  assert.deepEqual([stream.acked.length, stream.deadLetters.length], [5, 1]);
});

test("results go to nobody's handler, and queued work to the batch handler alone", async () => {
  await using stream = testStream();
  const texts: unknown[] = [];
  const queued: unknown[] = [];
  stream.onTextMessage(async ({ content, sourceId }) => {
    texts.push(content);
    await stream.publishResult(sourceId, "length", { length: content.length });
    await stream.queueForBatchProcessing({ content });
  });
  stream.batchProcessor({ queued: true }, (messages) => {
    for (const { content, priority } of messages) queued.push([content, priority]);
  });
  await stream.publish({ text: "hello", sourceId: "s1" });
  assert.deepEqual(texts, ["hello"]);
  assert.deepEqual(queued, [['{"content":"hello"}', "batch"]]);
  assert.deepEqual(stream.results, [{ sourceId: "s1", kind: "length", value: { length: 5 } }]);
});

test("of several handlers only the one that failed is called again", async () => {
  await using stream = testStream();
  let [good, bad] = [0, 0];
  stream.onTextMessage(() => void (good += 1));
  stream.onTextMessage(() => {
    bad += 1;
    if (bad === 1) throw new Error("once");
  });
  await stream.publish("m");
  await stream.advance("5s");
  assert.deepEqual([good, bad, stream.acked.length], [1, 2, 1]);
});

test("a loop is done with a message when it asks for the next, and gives back where it is left", async () => {
  await using stream = testStream();
  await stream.publish(["a", "b", "c"]);
  const seen: string[] = [];
  for await (const message of stream.consume()) {
    seen.push(`${message.content.toString()}${message.attempt}`);
    if (message.content === "b") break;
  }
  assert.deepEqual(seen, ["a1", "b1"]);
  assert.deepEqual(
    stream.acked.map(({ content }) => content),
    ["a"],
  );
});

test("what only the gateway heeds of a group is refused by name", () => {
  const filter = { kinds: ["text" as const] };
  assert.throws(() => testStream({ group: { filter } }), { code: "invalid_argument", field: "group.filter" });
  const bad = { kinds: "text" as unknown as ["text"] };
  assert.throws(() => testStream({ group: { filter: bad } }), { field: "group.filter.kinds" });
});
