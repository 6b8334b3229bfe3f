import type { Delivery, Open } from "@millrace/proto/group";
import { StartAt } from "@millrace/proto/message";
import { toFilter } from "../receive/result-filter.js";
import type { Handler, OnError } from "../receive/runner.js";
import type { Slots } from "../receive/slots.js";
import type { Environment, Logger } from "../rpc/environment.js";
import { toWireDuration } from "../units/duration.js";
import { createGroupMember } from "./group-member.js";
import type { GroupSettings } from "./group-settings.js";
import { derivedAttribute, type HandledMessage, queuedAttribute, toHandled } from "./handled-message.js";
import { done, type Outcome, outcomeOf, worst } from "./outcome.js";
import type { GroupTransport } from "./transport.js";

/** A handler of a group's messages. */
export interface Registration {
  /** Undefined: all kinds. */
  kind: HandledMessage["kind"] | undefined;
  /** Takes what was queued for batch processing; `only`: nothing else. */
  queued: "no" | "too" | "only";
  /** Messages that it wants in hand at a time. */
  inHand: number;
  /** Resolves when the message is done. Errors: what becomes of it (`outcomeOf`). */
  handle(message: HandledMessage): Promise<void>;
  /** No more will come: what is collected is to be worked on. */
  drain?(): void;
}

export interface GroupRunner {
  add(registration: Registration): Handler;
  readonly isReady: boolean;
  ready(): Promise<void>;
  stop(): Promise<void>;
}

export interface GroupRunnerOptions {
  stream: string;
  settings: GroupSettings;
  transport: GroupTransport;
  environment: Environment;
  logger: Logger;
  report: OnError;
  closed: AbortSignal;
}

const creditsMax = 8_192;
/** Handlers that are done with a message that another one has failed on: they are not called for it again. */
const partlyDoneMax = 10_000;

/** One member for all handlers of this process: a message is done when each that wants it is. */
export function createGroupRunner(options: GroupRunnerOptions): GroupRunner {
  const { settings, report, closed } = options;
  const registrations = new Set<Registration>();
  const partlyDone = new Map<string, Set<Registration>>();
  const stopping = new AbortController();
  const signal = AbortSignal.any([stopping.signal, closed]);
  let opened: { promise: Promise<void>; resolve(): void; isDone: boolean } | undefined;
  let isScheduled = false;

  const work = async (delivery: Delivery): Promise<Outcome> => {
    const message = toHandled(delivery, signal);
    const before = partlyDone.get(message.id) ?? new Set<Registration>();
    const calls = [...registrations]
      .filter((registration) => wants(registration, message) && !before.has(registration))
      .map(async (registration): Promise<Outcome> => {
        try {
          await registration.handle(message);
          before.add(registration);
          return done;
        } catch (error) {
          if (error === notBegun) return { kind: "released" };
          report(error, { message });
          return outcomeOf(error);
        }
      });
    const outcome = worst(await Promise.all(calls));
    if (outcome.kind === "retry" && before.size > 0) partlyDone.set(message.id, before);
    else partlyDone.delete(message.id);
    for (const oldest of partlyDone.keys()) {
      if (partlyDone.size <= partlyDoneMax) break;
      partlyDone.delete(oldest);
    }
    return outcome;
  };
  const member = createGroupMember({
    ...options,
    open: () => openOf(options, registrations),
    ackWaitMs: settings.ackWaitMs,
    work,
    onOpen: () => opened?.resolve(),
    onGap: (batches) =>
      options.logger.warn(
        { stream: options.stream, batches },
        "results were removed before they were handled",
      ),
    onEnd: (error) => {
      report(error, {});
      opened?.resolve();
    },
    signal: closed,
  });
  const join = (): void => {
    isScheduled = false;
    if (!stopping.signal.aborted && registrations.size > 0) member.join();
  };
  return {
    add: (registration) => {
      registrations.add(registration);
      opened = opened?.isDone === false ? opened : opening();
      const { promise } = opened;
      // Those that are registered together are opened together.
      if (!isScheduled) queueMicrotask(join);
      isScheduled = true;
      const stop = async (): Promise<void> => {
        registration.drain?.();
        if (registrations.size > 1) registrations.delete(registration);
        else await end();
      };
      return { ready: promise, stop, [Symbol.asyncDispose]: stop };
    },
    get isReady() {
      return opened?.isDone ?? true;
    },
    ready: async () => opened?.promise,
    stop: () => end(),
  };

  async function end(): Promise<void> {
    stopping.abort();
    for (const registration of registrations) registration.drain?.();
    await member.stop();
    opened?.resolve();
    registrations.clear();
  }
}

/** Thrown by what was to be called and was not, as the process stops: the message is given back. */
export const notBegun = new Error("not begun");

/** A call of a handler when a place is free. */
export async function inSlot<T>(slots: Slots, signal: AbortSignal, call: () => Promise<T>): Promise<T> {
  await slots.acquire();
  try {
    if (signal.aborted) throw notBegun;
    return await call();
  } finally {
    slots.release();
  }
}

function opening() {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  const state = {
    promise,
    isDone: false,
    resolve: (): void => {
      state.isDone = true;
      resolve();
    },
  };
  return state;
}

function wants({ kind, queued }: Registration, { attributes, kind: of }: HandledMessage): boolean {
  if (attributes[derivedAttribute] !== undefined) return false;
  const isQueued = attributes[queuedAttribute] !== undefined;
  if (isQueued ? queued === "no" : queued === "only") return false;
  return kind === undefined || kind === of;
}

function openOf({ stream, settings }: GroupRunnerOptions, registrations: ReadonlySet<Registration>): Open {
  const all = [...registrations];
  const kinds = all.map(({ kind }) => kind).filter((kind) => kind !== undefined);
  const inHand = all.reduce((sum, registration) => sum + registration.inHand, 0);
  return {
    stream,
    group: settings.group,
    credits: Math.min(creditsMax, inHand),
    kinds: kinds.length < all.length ? [] : [...new Set(kinds)],
    sourceIds: [...settings.sourceIds],
    filter: toFilter(settings.filter),
    startAt: settings.from === "earliest" ? StartAt.START_AT_EARLIEST : StartAt.START_AT_UNSPECIFIED,
    maySkip: settings.maySkip,
    maxAttempts: settings.maxAttempts,
    ackWait: toWireDuration(settings.ackWaitMs),
  };
}
