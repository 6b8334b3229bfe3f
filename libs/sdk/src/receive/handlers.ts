import { findLargeFiles, type LargeFileOptions, toLookOptions } from "../large-file/find-large-files.js";
import { type MappedFile, mmapFile, type MmapOptions } from "../large-file/mapped-file.js";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkOneOf } from "../units/checks.js";
import type { DataMessage, ImageMessage, ReceivedMessage, TextMessage } from "./received-message.js";
import { createRunner, type Handler, type Runner, type RunnerOptions } from "./runner.js";
import { type EventType, eventTypes, type StreamEvent } from "./event-types.js";
import { watchEvents } from "./stream-event.js";
import { subscribe } from "./subscription.js";

export interface Handlers {
  onTextMessage(handle: (message: TextMessage) => unknown): Handler;
  onDataMessage(handle: (message: DataMessage) => unknown): Handler;
  onImageMessage(handle: (message: ImageMessage) => unknown): Handler;
  onEvent<Type extends EventType>(type: Type, handle: (event: StreamEvent<Type>) => unknown): Handler;
  /**
   * Files of this machine that are large, each once in the life of this process, when it rested for a look;
   * those that are there already too. The file is closed when the call ends. One that is replaced is another
   * file. Beside the handler, file sources read such a file line by line like any other.
   */
  onLargeFile(handle: (file: MappedFile) => unknown, options?: LargeFileOptions): Handler;
  readonly runner: Runner;
}

export interface HandlersOptions extends RunnerOptions {
  /** How large files are read. */
  mapping: MmapOptions;
}

/** Handlers over subscriptions of this process, from now on: each message is handed over at most once. */
export function createHandlers(channel: Channel, options: HandlersOptions): Handlers {
  const { stream, mapping } = options;
  const runner = createRunner(channel, options);

  function onKind<Kind extends ReceivedMessage["kind"]>(
    kind: Kind,
    handle: (message: Extract<ReceivedMessage, { kind: Kind }>) => unknown,
  ): Handler {
    checkHandle(handle);
    return runner.start({
      open: (signal, onOpen) => {
        const messages = subscribe(channel, { stream, options: { signal }, onOpen });
        return filter(messages, (message) => isKind(message, kind));
      },
      handle,
      context: (message) => ({ message }),
    });
  }

  function onEvent<Type extends EventType>(
    type: Type,
    handle: (event: StreamEvent<Type>) => unknown,
  ): Handler {
    checkOneOf(type, "type", eventTypes);
    checkHandle(handle);
    return runner.start({
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
    return runner.start({
      open: (signal, onOpen) => findLargeFiles(channel, { stream, look, signal, onOpen }),
      handle: async ({ path, problem }) => {
        if (problem !== undefined) throw problem;
        using file = mmapFile(path, mapping);
        await handle(file);
      },
      context: ({ path }) => ({ file: path }),
    });
  }

  return {
    onTextMessage: (handle) => onKind("text", handle),
    onDataMessage: (handle) => onKind("data", handle),
    onImageMessage: (handle) => onKind("image", handle),
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

function isKind<Kind extends ReceivedMessage["kind"]>(
  message: ReceivedMessage,
  kind: Kind,
): message is Extract<ReceivedMessage, { kind: Kind }> {
  return message.kind === kind;
}

function isType<Type extends EventType>(event: StreamEvent, type: Type): event is StreamEvent<Type> {
  return event.type === type;
}

function checkHandle(handle: unknown): void {
  if (typeof handle !== "function") throw invalidArgument("handler", "is no function", "Give a function.");
}
