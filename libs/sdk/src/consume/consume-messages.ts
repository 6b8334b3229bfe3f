import type { GroupRunner } from "./group-runner.js";
import { notBegun } from "./group-runner.js";
import type { HandledMessage } from "./handled-message.js";
import { RetryLater } from "./outcome.js";
import type { Duration } from "../units/duration.js";

export type ConsumedMessage = HandledMessage & {
  /** Done. */
  ack(): void;
  /** Again after the delay, without counting an attempt. */
  retry(options?: { delay?: Duration }): void;
  /** As if a handler had thrown the error. */
  fail(error: unknown): void;
};

export type ConsumedMessages = AsyncIterableIterator<ConsumedMessage>;

/** Messages that are there before they are asked for. */
const aheadMax = 100;

interface Waiting {
  message: ConsumedMessage;
  settle(error?: unknown): void;
}

export function consumeMessages(runner: GroupRunner, { signal }: { signal?: AbortSignal }): ConsumedMessages {
  const waiting: Waiting[] = [];
  let wake = (): void => undefined;
  let isOver = false;
  const handler = runner.add({
    kind: undefined,
    queued: "too",
    inHand: aheadMax,
    handle: (message) =>
      new Promise((resolve, reject) => {
        let isSettled = false;
        const settle = (error?: unknown): void => {
          if (isSettled) return;
          isSettled = true;
          if (error === undefined) resolve();
          else reject(error);
        };
        if (isOver) return settle(notBegun);
        const consumed = {
          ...message,
          ack: () => settle(),
          retry: (options?: { delay?: Duration }) => settle(new RetryLater(options)),
          fail: (error: unknown) => settle(error ?? new Error("failed")),
        };
        waiting.push({ message: consumed, settle });
        wake();
      }),
    drain: () => {
      isOver = true;
      for (const { settle } of waiting.splice(0)) settle(notBegun);
      wake();
    },
  });
  async function* read(): AsyncGenerator<ConsumedMessage, void, undefined> {
    const end = (): void => {
      isOver = true;
      wake();
    };
    signal?.addEventListener("abort", end, { once: true });
    let current: Waiting | undefined;
    try {
      while (!isOver && signal?.aborted !== true) {
        current = waiting.shift();
        if (current === undefined) {
          await new Promise<void>((resolve) => (wake = resolve));
          continue;
        }
        yield current.message;
        current.settle();
        current = undefined;
      }
    } finally {
      signal?.removeEventListener("abort", end);
      current?.settle(notBegun);
      await handler.stop();
    }
  }
  return read();
}
