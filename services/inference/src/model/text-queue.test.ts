import assert from "node:assert/strict";
import { test } from "node:test";
import { type Priority, type Request, type TextQueue, textQueue } from "./text-queue.js";

function push(queue: TextQueue, priority: Priority, count: number): Request {
  const request: Request = {
    texts: Array.from({ length: count }, (_, at) => `${priority} ${at}`),
    kind: "passage",
    sentiment: false,
    priority,
    waiting: Array.from({ length: count }, (_, at) => count - 1 - at),
    open: count,
    vectors: new Float32Array(),
    sentiments: [],
    isSettled: false,
    resolve: () => undefined,
    reject: () => undefined,
  };
  queue.push(request);
  return request;
}

function take(queue: TextQueue, count: number): Priority[] {
  return Array.from({ length: count }, () => queue.take()?.request.priority ?? "bulk");
}

test("a high text that comes while bulk waits is the next one", () => {
  const queue = textQueue();
  push(queue, "bulk", 64);
  take(queue, 20);
  push(queue, "high", 2);
  assert.deepEqual(take(queue, 3), ["high", "high", "bulk"]);
});

test("a high lane that never runs dry leaves bulk its turns, and the other way round", () => {
  const queue = textQueue();
  push(queue, "bulk", 100);
  push(queue, "high", 800);
  const served = take(queue, 900);
  assert.equal(served.slice(0, 450).filter((each) => each === "bulk").length, 50);
  assert.equal(queue.take(), undefined);
});

test("a text that a worker held comes back before all others", () => {
  const queue = textQueue();
  const request = push(queue, "bulk", 1);
  const task = queue.take();
  push(queue, "interactive", 1);
  assert.ok(task !== undefined);
  queue.putBack(task);
  assert.equal(queue.take()?.request, request);
  assert.equal(queue.take()?.request.priority, "interactive");
});
