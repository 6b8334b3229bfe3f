import {
  type Gap as WireGap,
  GapReason,
  SlowConsumer,
  StartAt,
  SubscribeServiceService,
} from "@millrace/proto/message";
import type { Channel } from "../rpc/channel.js";
import { follow } from "../rpc/follow.js";
import { checkKeys, checkOneOf, checkText, checkTexts } from "../units/checks.js";
import { formatPlace, type Place, parsePlace, placesOf, unread } from "./place.js";
import { checkFilter, type ResultFilter, toFilter } from "./result-filter.js";
import { type ReceivedMessage, toReceived } from "./received-message.js";

export interface SubscribeOptions {
  /** `now`: what comes from now on. `earliest`: all that the stream's results still hold. Default `now`. */
  from?: "now" | "earliest";
  /** A message's `resumeToken`: goes on right behind it, whatever `from` says. */
  resumeToken?: string;
  /** Only messages of these. Default: all. */
  sourceIds?: readonly string[];
  /** Only messages that fit each part that is named. Default: all. */
  filter?: ResultFilter;
  /**
   * What happens where this subscriber reads slower than results come. `block`: it gets everything, however
   * late. `conflate`: of what waits, the last message of each source id. `drop`: what waited for more than a
   * second is left out. What is left out is told by `onGap`. Default `block`.
   */
  slowConsumer?: "block" | "conflate" | "drop";
  /** Called when results were missed; default: a warning of the logger. */
  onGap?: (gap: Gap) => void;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
}

export interface Gap {
  /** Batches of results of which messages were missed. */
  batches: number;
  /** Messages that were missed; 0 where it is not known, since the results budget discarded them. */
  messages: number;
  reason: "discarded" | "dropped" | "conflated";
}

/** Read once, with `for await`. Leaving the loop ends it. */
export type Subscription = AsyncIterableIterator<ReceivedMessage>;

/** Used by handlers, which wait until they are listened for. */
export interface SubscriptionHooks {
  onOpen?: () => void;
}

const keys = ["from", "resumeToken", "sourceIds", "filter", "slowConsumer", "onGap", "signal"] as const;

const policies = {
  block: SlowConsumer.SLOW_CONSUMER_BLOCK,
  conflate: SlowConsumer.SLOW_CONSUMER_CONFLATE,
  drop: SlowConsumer.SLOW_CONSUMER_DROP,
} as const;

const reasons: Readonly<Partial<Record<GapReason, Gap["reason"]>>> = {
  [GapReason.GAP_REASON_DROPPED]: "dropped",
  [GapReason.GAP_REASON_CONFLATED]: "conflated",
};

/**
 * The stream's results, in their order. It connects at the first read, reconnects by itself and goes on where
 * it
 * was, without a gap or a repeat; an error that reconnecting can't cure is thrown. What is not read yet stays
 * in
 * the gateway and in at most 16 responses here, so a slow reader slows nobody but itself.
 */
export function subscribe(
  channel: Channel,
  { stream, options = {}, onOpen }: { stream: string; options?: SubscribeOptions } & SubscriptionHooks,
): Subscription {
  checkSubscribeOptions(options);
  return read(channel, stream, { ...options, ...(onOpen !== undefined && { onOpen }) });
}

function checkSubscribeOptions(options: SubscribeOptions): void {
  checkKeys(options, keys, "");
  if (options.from !== undefined) checkOneOf(options.from, "from", ["now", "earliest"]);
  if (options.resumeToken !== undefined) checkText(options.resumeToken, "resumeToken");
  if (options.sourceIds !== undefined) checkTexts(options.sourceIds, "sourceIds");
  if (options.slowConsumer !== undefined)
    checkOneOf(options.slowConsumer, "slowConsumer", ["block", "conflate", "drop"]);
  if (options.filter !== undefined) checkFilter(options.filter, "filter");
}

async function* read(
  channel: Channel,
  stream: string,
  options: SubscribeOptions & SubscriptionHooks,
): AsyncGenerator<ReceivedMessage, void, undefined> {
  const { from, resumeToken, sourceIds = [], slowConsumer = "block", onGap, signal, onOpen } = options;
  const filter = toFilter(options.filter);
  const place: Place = parsePlace(resumeToken ?? "");
  const startAt = from === "earliest" ? StartAt.START_AT_EARLIEST : StartAt.START_AT_UNSPECIFIED;
  const responses = follow(channel, {
    attempted: `subscribe to ${stream}`,
    open: () => {
      const request = {
        stream,
        resumeToken: place.token,
        startAt,
        sourceIds: [...sourceIds],
        filter,
        slowConsumer: policies[slowConsumer],
      };
      return channel.readable(SubscribeServiceService.subscribe, request);
    },
    ...(onOpen !== undefined && { onOpen }),
    signal: signal === undefined ? channel.closed : AbortSignal.any([signal, channel.closed]),
  });
  for await (const response of responses) {
    const { messages, resumeToken: token, gap } = response;
    if (gap !== undefined) reportGap(channel, stream, { gap, onGap });
    if (messages.length === 0) {
      // A heartbeat names the place that was reached; before its first response, what was read in it still
      // counts.
      if (token !== "" && place.lastId === undefined) place.token = token;
      continue;
    }
    const fresh = unread(messages, place.lastId);
    const behind = placesOf(response, place.token).slice(messages.length - fresh.length);
    place.token = token;
    place.lastId = undefined;
    for (const [index, message] of fresh.entries()) {
      yield toReceived(message, formatPlace(behind[index] ?? place));
      if (signal?.aborted === true) return;
    }
  }
}

interface GapReport {
  gap: WireGap;
  onGap: ((gap: Gap) => void) | undefined;
}

function reportGap(channel: Channel, stream: string, { gap, onGap }: GapReport): void {
  const { batches, messages } = gap;
  const reason = reasons[gap.reason] ?? "discarded";
  if (onGap !== undefined) onGap({ batches, messages, reason });
  else channel.logger.warn({ stream, batches, messages, reason }, "results were missed");
}
