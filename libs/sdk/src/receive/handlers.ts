import type { GroupSettings } from "../consume/group-settings.js";
import { createMessageHandlers, type MessageHandlers } from "../consume/message-handlers.js";
import { gatewayGroups } from "../consume/transport.js";
import { findLargeFiles, type LargeFileOptions, toLookOptions } from "../large-file/find-large-files.js";
import { type MappedFile, mmapFile, type MmapOptions } from "../large-file/mapped-file.js";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkOneOf } from "../units/checks.js";
import { createRunner, type Handler, type Runner, type RunnerOptions } from "./runner.js";
import { type EventType, eventTypes, type StreamEvent } from "./event-types.js";
import { watchEvents } from "./stream-event.js";

export interface Handlers extends MessageHandlers {
  onEvent<Type extends EventType>(type: Type, handle: (event: StreamEvent<Type>) => unknown): Handler;
  /**
   * Files of this machine that are large, each once in the life of this process, when it rested for a look;
   * those that are there already too. The file is closed when the call ends. One that is replaced is another
   * file. Beside the handler, file sources read such a file line by line like any other.
   */
  onLargeFile(handle: (file: MappedFile) => unknown, options?: LargeFileOptions): Handler;
  readonly runner: HandlersRunner;
}

export type HandlersRunner = Omit<Runner, "start" | "slots" | "report">;

export interface HandlersOptions extends RunnerOptions {
  group: GroupSettings;
  /** How large files are read. */
  mapping: MmapOptions;
}

/** Handlers of messages work as a group; those of events and files are this process's alone. */
export function createHandlers(channel: Channel, options: HandlersOptions): Handlers {
  const { stream, mapping, group, parallelism } = options;
  const own = createRunner(channel, options);
  const { environment, logger, closed } = channel;
  const messages = createMessageHandlers({
    stream,
    settings: group,
    transport: gatewayGroups(channel),
    environment,
    logger,
    report: own.report,
    closed,
    slots: own.slots,
    parallelism,
  });
  const runner: HandlersRunner = {
    get isReady() {
      return own.isReady && messages.isReady;
    },
    get underWay() {
      return own.slots.taken;
    },
    ready: async () => {
      const waited = new AbortController();
      const both = Promise.all([own.ready(), messages.ready()]);
      await Promise.race([both, environment.sleep(channel.deadlineMs, waited.signal)]);
      waited.abort();
    },
    stop: async () => {
      await Promise.all([own.stop(), messages.stop()]);
    },
  };

  function onEvent<Type extends EventType>(
    type: Type,
    handle: (event: StreamEvent<Type>) => unknown,
  ): Handler {
    checkOneOf(type, "type", eventTypes);
    checkHandle(handle);
    return own.start({
      open: (signal, onOpen) => {
        const events = watchEvents(channel, { stream, type, signal, onOpen });
        return filter(events, (event) => isType(event, type));
      },
      handle,
      context: (event) => ({ event }),
    });
  }

  function onLargeFile(handle: (file: MappedFile) => unknown, given: LargeFileOptions = {}): Handler {
    checkHandle(handle);
    const look = toLookOptions(given);
    return own.start({
      open: (signal, onOpen) => findLargeFiles(channel, { stream, look, signal, onOpen }),
      handle: async ({ path, problem }) => {
        if (problem !== undefined) throw problem;
        using file = mmapFile(path, mapping);
        await handle(file);
      },
      context: ({ path }) => ({ file: path }),
    });
  }

  const { onTextMessage, onDataMessage, onImageMessage, batchProcessor, consume } = messages;
  return {
    onTextMessage,
    onDataMessage,
    onImageMessage,
    batchProcessor,
    consume,
    onEvent,
    onLargeFile,
    runner,
  };
}

async function* filter<Item, Kept extends Item>(
  items: AsyncIterable<Item>,
  keeps: (item: Item) => item is Kept,
): AsyncGenerator<Kept, void, undefined> {
  for await (const item of items) if (keeps(item)) yield item;
}

function isType<Type extends EventType>(event: StreamEvent, type: Type): event is StreamEvent<Type> {
  return event.type === type;
}

function checkHandle(handle: unknown): void {
  if (typeof handle !== "function") throw invalidArgument("handler", "is no function", "Give a function.");
}
