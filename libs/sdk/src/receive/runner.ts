import type { Channel } from "../rpc/channel.js";
import type { StoredMessage } from "./received-message.js";
import { createSlots, type Slots } from "./slots.js";
import type { StreamEvent } from "./event-types.js";

/** What is registered, until it is stopped. */
export interface Handler extends AsyncDisposable {
  /** Resolves once the gateway listens for it: what is published from then on reaches the handler. */
  readonly ready: Promise<void>;
  /** Starts no more calls, and resolves when those under way have ended. */
  stop(): Promise<void>;
}

/** What a handler failed on; all are absent where the subscription itself ended for good. */
export interface HandlerContext {
  message?: StoredMessage;
  event?: StreamEvent;
  /** Path of a large file, or of the directory that could not be looked through. */
  file?: string;
}

export type OnError = (error: unknown, context: HandlerContext) => void;

export interface RunnerOptions {
  stream: string;
  /** Handler calls under way at a time, all handlers together. */
  parallelism: number;
  onError?: OnError;
}

export interface Job<Item> {
  open: (signal: AbortSignal, onOpen: () => void) => AsyncIterable<Item>;
  handle: (item: Item) => unknown;
  context: (item: Item) => HandlerContext;
}

/**
 * Runs handlers: calls start in the order of the items, up to `parallelism` at a time; a call that throws is
 * reported and stops nothing.
 */
export interface Runner {
  start<Item>(job: Job<Item>): Handler;
  /** Whether the gateway listens for each handler. */
  readonly isReady: boolean;
  /** Calls under way. */
  readonly underWay: number;
  /** Places for calls, which other handlers share. */
  readonly slots: Slots;
  /** Tells what a handler failed on. */
  readonly report: OnError;
  /** Resolves when it does; waits no longer than a call's deadline. */
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export function createRunner(channel: Channel, { stream, parallelism, onError }: RunnerOptions): Runner {
  const slots = createSlots(parallelism);
  const active = new Set<Handler>();
  const unready = new Set<Handler>();
  const report: OnError = (error, context) => {
    try {
      if (onError !== undefined) onError(error, context);
      else logError(channel, stream, { error, context });
    } catch (caught) {
      channel.logger.error({ stream, error: caught }, "onError failed");
    }
  };

  function start<Item>(job: Job<Item>): Handler {
    const stopping = new AbortController();
    const signal = AbortSignal.any([stopping.signal, channel.closed]);
    let markReady: () => void = () => undefined;
    const ready = new Promise<void>((resolve) => (markReady = resolve));
    const running = new Set<Promise<void>>();
    const call = async (item: Item): Promise<void> => {
      try {
        await job.handle(item);
      } catch (error) {
        report(error, job.context(item));
      } finally {
        slots.release();
      }
    };
    const run = async (): Promise<void> => {
      for await (const item of job.open(signal, markReady)) {
        await slots.acquire();
        if (signal.aborted) return slots.release();
        const ended: Promise<void> = call(item).finally(() => running.delete(ended));
        running.add(ended);
      }
    };
    const ended = run()
      .catch((error: unknown) => report(error, {}))
      .finally(markReady);
    const stop = async (): Promise<void> => {
      stopping.abort();
      active.delete(handler);
      await ended;
      await Promise.all(running);
    };
    const handler: Handler = { ready, stop, [Symbol.asyncDispose]: stop };
    active.add(handler);
    unready.add(handler);
    void ready.then(() => unready.delete(handler));
    return handler;
  }

  return {
    start,
    slots,
    report,
    get isReady() {
      return unready.size === 0;
    },
    get underWay() {
      return slots.taken;
    },
    async ready() {
      const waited = new AbortController();
      const all = Promise.all([...unready].map((handler) => handler.ready));
      await Promise.race([all, channel.environment.sleep(channel.deadlineMs, waited.signal)]);
      waited.abort();
    },
    async stop() {
      await Promise.all([...active].map((handler) => handler.stop()));
    },
  };
}

interface Failure {
  error: unknown;
  context: HandlerContext;
}

function logError(channel: Channel, stream: string, { error, context }: Failure): void {
  const isSubscription = Object.values(context).every((each) => each === undefined);
  const id = context.message?.id ?? context.event?.id;
  const fields = { stream, ...(id !== undefined && { id }), error };
  channel.logger.error(fields, isSubscription ? "the subscription of a handler ended" : "a handler failed");
}
