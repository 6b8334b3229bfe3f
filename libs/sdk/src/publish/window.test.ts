import assert from "node:assert/strict";
import { test } from "node:test";
import { type StreamedMessage, StreamedMessage as Streamed } from "@millrace/proto/message";
import { MillraceError } from "../rpc/millrace-error.js";
import { createSendWindow, type SendWindow } from "./window.js";

const limits = { messagesMax: 10, bytesMax: 100 };
const noRejections = new Map<number, MillraceError>();

function fill(window: SendWindow, sizes: number[]): (number | string)[] {
  const outcomes: (number | string)[] = [];
  for (const bytes of sizes) {
    const message: StreamedMessage = Streamed.create({});
    window.add({
      message,
      bytes,
      resolve: (sequence) => outcomes.push(sequence),
      reject: (error) => outcomes.push(error.message),
    });
  }
  return outcomes;
}

test("frames are bounded by count and by bytes, and hold at least one message", () => {
  const window = createSendWindow();
  fill(window, [500, 40, 40, 40, 1, 1]);
  assert.equal(window.take(limits)?.messages.length, 1);
  assert.deepEqual([window.take(limits)?.messages.length, window.sentCount, window.unsentCount], [2, 3, 3]);
  assert.equal(window.take({ messagesMax: 2, bytesMax: 100 })?.firstSequence, 3);
  assert.equal(window.take({ messagesMax: 0, bytesMax: 100 }), undefined);
});

test("an acknowledgement settles what was sent on this connection only", () => {
  const window = createSendWindow();
  const outcomes = fill(window, [1, 1, 1]);
  window.take({ messagesMax: 2, bytesMax: 100 });
  assert.equal(window.acknowledge(3, noRejections), true);
  assert.deepEqual(outcomes, [0, 1]);
  window.take(limits);
  window.rewind();
  assert.equal(window.acknowledge(3, noRejections), false);
  assert.equal(window.take(limits)?.firstSequence, 2);
  assert.equal(window.acknowledge(3, noRejections), true);
  assert.deepEqual(outcomes, [0, 1, 2]);
});

test("a rejection takes effect with the acknowledgement that covers it", () => {
  const window = createSendWindow();
  const outcomes = fill(window, [1, 1, 1]);
  window.take(limits);
  window.acknowledge(0, new Map([[1, new MillraceError("invalid_argument", "no")]]));
  assert.deepEqual(outcomes, []);
  window.acknowledge(3, noRejections);
  assert.deepEqual(outcomes, [0, "no", 2]);
});

test("ten thousand messages pass in frames, each settled once and in order", () => {
  const window = createSendWindow();
  const outcomes = fill(
    window,
    Array.from({ length: 10_000 }, () => 1),
  );
  for (let frame = window.take(limits); frame !== undefined; frame = window.take(limits)) {
    window.acknowledge(frame.firstSequence + frame.messages.length, noRejections);
  }
  assert.deepEqual(
    outcomes,
    Array.from({ length: 10_000 }, (_, index) => index),
  );
  assert.deepEqual([window.size, window.bytes], [0, 0]);
});

test("failing rejects everything that is not settled", () => {
  const window = createSendWindow();
  const outcomes = fill(window, [1, 1]);
  window.take({ messagesMax: 1, bytesMax: 100 });
  window.fail(new MillraceError("unavailable", "gone"));
  assert.deepEqual(outcomes, ["gone", "gone"]);
  assert.equal(window.size, 0);
});
