import type { Handler } from "../receive/runner.js";
import type { Slots } from "../receive/slots.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { type BatchHandle, batchHandler, type BatchOptions } from "./batch-handler.js";
import { type ConsumedMessages, consumeMessages } from "./consume-messages.js";
import { createGroupRunner, type GroupRunnerOptions, inSlot } from "./group-runner.js";
import type { HandledMessage, HandledOf } from "./handled-message.js";
import { type WorkerHandler, workerHandler, type WorkerOptions } from "./worker-handler.js";

/**
 * A function, or a module that exports one as `handle`: it runs in threads of its own, which are ended where
 * a call takes too long.
 */
export type HandleOf<Message> = ((message: Message) => unknown) | URL;

/**
 * Handlers of messages, as members of the processor's group: processes that name the same group share the
 * work. A message is done when the handlers that want it have returned. One that throws gets it again, after
 * a delay, until its attempts are used up: then, or at once where it throws a `PermanentError`, it goes to
 * the dead letters.
 */
export interface MessageHandlers {
  onTextMessage(handle: HandleOf<HandledOf<"text">>, options?: WorkerOptions): Handler;
  onDataMessage(handle: HandleOf<HandledOf<"data">>, options?: WorkerOptions): Handler;
  onImageMessage(handle: HandleOf<HandledOf<"image">>, options?: WorkerOptions): Handler;
  /** All kinds, many messages a call; each has an outcome of its own. */
  batchProcessor(options: BatchOptions, handle: BatchHandle): Handler;
  /**
   * The same without a callback: a message is done when the next one is asked for, and given back where the
   * loop is left, unless `ack`, `retry` or `fail` said what became of it.
   */
  consume(options?: { signal?: AbortSignal }): ConsumedMessages;
}

export interface MessageHandlersOptions extends GroupRunnerOptions {
  slots: Slots;
  parallelism: number;
}

export interface MessageHandlersRunner extends MessageHandlers {
  readonly isReady: boolean;
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export function createMessageHandlers(options: MessageHandlersOptions): MessageHandlersRunner {
  const { environment, slots, parallelism, closed } = options;
  const runner = createGroupRunner(options);
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, closed]);
  const workers = new Set<WorkerHandler>();

  function onKind<Kind extends HandledMessage["kind"]>(
    kind: Kind,
    handle: HandleOf<HandledOf<Kind>>,
    workerOptions: WorkerOptions | undefined,
  ): Handler {
    const worker = handle instanceof URL ? startWorkers(handle, workerOptions ?? {}) : undefined;
    if (worker === undefined && typeof handle !== "function") {
      throw invalidArgument("handler", "is neither a function nor the URL of a module", "Give one of them.");
    }
    if (worker === undefined && workerOptions !== undefined) {
      throw invalidArgument("options", "are for a module's handler", "Give its URL, or leave them out.");
    }
    const call = worker?.handle ?? (handle as (message: HandledMessage) => unknown);
    const registered = runner.add({
      kind,
      queued: "no",
      inHand: 4 * parallelism,
      handle: (message) => inSlot(slots, signal, async () => void (await call(message))),
    });
    const stop = async (): Promise<void> => {
      await registered.stop();
      await worker?.stop();
    };
    return { ...registered, stop, [Symbol.asyncDispose]: stop };
  }
  const startWorkers = (module: URL, given: WorkerOptions): WorkerHandler => {
    const worker = workerHandler({ environment, parallelism }, module, given);
    workers.add(worker);
    return worker;
  };
  return {
    onTextMessage: (handle, of) => onKind("text", handle, of),
    onDataMessage: (handle, of) => onKind("data", handle, of),
    onImageMessage: (handle, of) => onKind("image", handle, of),
    batchProcessor: (of, handle) => runner.add(batchHandler({ environment, slots, signal }, of, handle)),
    consume: (of = {}) => consumeMessages(runner, of),
    get isReady() {
      return runner.isReady;
    },
    ready: () => runner.ready(),
    stop: async () => {
      stopping.abort();
      await runner.stop();
      await Promise.all([...workers].map((worker) => worker.stop()));
    },
  };
}
