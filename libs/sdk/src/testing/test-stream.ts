import { Message, Priority } from "@millrace/proto/message";
import { type DerivedCalls, derivedCalls } from "../consume/derived.js";
import { type GroupOptions, type GroupSettings, toGroupSettings } from "../consume/group-settings.js";
import { derivedAttribute } from "../consume/handled-message.js";
import { createMessageHandlers, type MessageHandlers } from "../consume/message-handlers.js";
import { type OutgoingMessage, toOutgoing } from "../publish/outgoing.js";
import type { Published } from "../publish/publish-all.js";
import { type StoredMessage, toStored } from "../receive/received-message.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { createSlots } from "../receive/slots.js";
import { type Environment, type Logger, systemEnvironment, warningLogger } from "../rpc/environment.js";
import { type Duration, parseDuration } from "../units/duration.js";
import { createMemoryGroup, type MemoryItem } from "./memory-group.js";
import { createVirtualClock } from "./virtual-clock.js";

export interface TestStreamOptions {
  /** Handler calls under way at a time. Default 4. */
  parallelism?: number;
  group?: string | GroupOptions;
  /** Told when a handler throws. Default: nobody, since `retries` and `deadLetters` show it. */
  onError?: (error: unknown) => void;
  logger?: Logger;
}

/** A message that is to come again. */
export interface Retry {
  message: StoredMessage;
  attempts: number;
  /** Milliseconds until it does. */
  inMs: number;
  reason: string;
}

export interface TestDeadLetter {
  message: StoredMessage;
  attempts: number;
  code: string;
  reason: string;
}

/**
 * A stream in memory with the handlers of a processor: the same code runs them, and their group, its retries
 * and dead letters are kept here, by a clock that only `advance` moves. No filter, no models: a message is
 * handled as it was published.
 */
export interface TestStream extends MessageHandlers, DerivedCalls, AsyncDisposable {
  /** Resolves when the handlers have dealt with all that is due. */
  publish(message: OutgoingMessage): Promise<Published>;
  publish(messages: readonly OutgoingMessage[]): Promise<Published[]>;
  /** Moves the clock, and resolves when the handlers have dealt with all that is due by then. */
  advance(by: Duration): Promise<void>;
  /** Resolves when the handlers have dealt with all that is due. */
  settled(): Promise<void>;
  /** The clock, in milliseconds since 1970. */
  now(): number;
  /** All that was published, in order. */
  readonly messages: readonly StoredMessage[];
  /** What handlers are done with. */
  readonly acked: readonly StoredMessage[];
  readonly retries: readonly Retry[];
  readonly deadLetters: readonly TestDeadLetter[];
  /** What `publishResult` published. */
  readonly results: readonly { sourceId: string; kind: string; value: unknown }[];
  close(): Promise<void>;
}

const stream = "test";

export function testStream(options: TestStreamOptions = {}): TestStream {
  const clock = createVirtualClock();
  const environment: Environment = {
    ...systemEnvironment,
    now: clock.now,
    sleep: clock.sleep,
    random: () => 0.5,
    silenceMaxMs: 2 ** 31 - 1,
  };
  const group = createMemoryGroup(clock.now);
  const closing = new AbortController();
  const { parallelism = 4, onError, logger = warningLogger } = options;
  const handlers = createMessageHandlers({
    stream,
    settings: unfiltered(toGroupSettings(options.group)),
    transport: group.transport,
    environment,
    logger,
    report: (error) => onError?.(error),
    closed: closing.signal,
    slots: createSlots(parallelism),
    parallelism,
  });
  const settled = async (): Promise<void> => {
    // A handler's own promises, and what is told in their wake.
    await clock.turn();
    while (!group.isIdle()) {
      await Promise.race([clock.turn(), untilChange(group.onChange)]);
      // Batches that linger for others would wait for ever by a clock that stands.
      if (!group.isIdle()) clock.runShort();
    }
    await clock.turn();
  };
  const put = (given: OutgoingMessage, field: string): Published => {
    const { message } = toOutgoing(given, field);
    const offset = group.items.length;
    group.publish(toMessage(message, { offset, nowMs: clock.now() }));
    return { position: { source: stream, offset } };
  };
  function publish(message: OutgoingMessage): Promise<Published>;
  function publish(messages: readonly OutgoingMessage[]): Promise<Published[]>;
  async function publish(
    given: OutgoingMessage | readonly OutgoingMessage[],
  ): Promise<Published | Published[]> {
    const published = isList(given)
      ? given.map((message, index) => put(message, `messages[${index}]`))
      : put(given, "message");
    await settled();
    return published;
  }
  const inState = (state: MemoryItem["state"]) => group.items.filter((item) => item.state === state);
  const close = async (): Promise<void> => {
    closing.abort();
    await handlers.stop();
  };
  const { onTextMessage, onDataMessage, onImageMessage, batchProcessor, consume } = handlers;
  return {
    onTextMessage,
    onDataMessage,
    onImageMessage,
    batchProcessor,
    consume,
    // A handler awaits its own: what it publishes is handled when it has returned.
    ...derivedCalls(async (message) => put(message, "message")),
    publish,
    settled,
    advance: async (by) => {
      const untilMs = clock.now() + parseDuration(by, "by");
      while (group.nextDueMs() <= untilMs) {
        clock.moveTo(group.nextDueMs());
        group.wake();
        await settled();
      }
      clock.moveTo(untilMs);
      await settled();
    },
    now: clock.now,
    get messages() {
      return group.items.map(({ message }) => toStored(message));
    },
    get acked() {
      return inState("done").flatMap(({ message }) => (isDerived(message) ? [] : [toStored(message)]));
    },
    get retries() {
      return inState("delayed").map(({ message, attempts, dueMs, reason }) => {
        return { message: toStored(message), attempts, inMs: dueMs - clock.now(), reason };
      });
    },
    get deadLetters() {
      return inState("dead").map(({ message, attempts, code, reason }) => {
        return { message: toStored(message), attempts, code: code || "failed_precondition", reason };
      });
    },
    get results() {
      return group.items.flatMap(({ message }) => (isDerived(message) ? [toResult(message)] : []));
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

const isDerived = ({ attributes }: Message): boolean => attributes[derivedAttribute] !== undefined;

function toResult({ attributes, content, sourceId }: Message): TestStream["results"][number] {
  const value = content?.$case === "text" ? parsed(content.value) : content?.value;
  return { sourceId, kind: attributes[derivedAttribute] ?? "", value };
}

/** A text that was published as such is no JSON, as a rule. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function untilChange(onChange: (listener: () => void) => () => void): Promise<void> {
  return new Promise((resolve) => {
    const stop = onChange(() => {
      queueMicrotask(() => stop());
      resolve();
    });
  });
}

type Sent = ReturnType<typeof toOutgoing>["message"];

function toMessage(sent: Sent, { offset, nowMs }: { offset: number; nowMs: number }): Message {
  return Message.fromPartial({
    stream,
    id: offset.toString(16).padStart(32, "0"),
    sourceId: sent.sourceId || stream,
    position: { source: stream, offset },
    content: sent.content,
    attributes: sent.attributes,
    eventTime: sent.eventTime,
    priority: sent.priority === Priority.PRIORITY_BATCH ? sent.priority : Priority.PRIORITY_HIGH,
    acceptedUs: nowMs * 1_000,
  });
}

function isList(given: OutgoingMessage | readonly OutgoingMessage[]): given is readonly OutgoingMessage[] {
  return Array.isArray(given);
}

/** Which messages a group wants is for the gateway to tell: here all that is published is. */
function unfiltered(settings: GroupSettings): GroupSettings {
  if (settings.filter === undefined && settings.sourceIds.length === 0) return settings;
  const field = settings.filter === undefined ? "group.sourceIds" : "group.filter";
  const remedy = "Leave it out, and publish what the handlers are to be given.";
  throw invalidArgument(field, "is heeded by the gateway, and not in memory", remedy);
}
