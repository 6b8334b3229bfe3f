import { StartAt, SubscribeServiceService } from "@millrace/proto/message";
import type { Channel } from "../rpc/channel.js";
import { follow } from "../rpc/follow.js";
import { checkKeys, checkOneOf, checkText, checkTexts } from "../units/checks.js";
import { formatPlace, type Place, parsePlace, unread } from "./place.js";
import { type ReceivedMessage, toReceived } from "./received-message.js";

export interface SubscribeOptions {
  /** `now`: what comes from now on. `earliest`: all that the stream's results still hold. Default `now`. */
  from?: "now" | "earliest";
  /** A message's `resumeToken`: goes on right behind it, whatever `from` says. */
  resumeToken?: string;
  /** Only messages of these. Default: all. */
  sourceIds?: readonly string[];
  /** Called when results were discarded before they were read; default: a warning of the logger. */
  onGap?: (gap: Gap) => void;
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
}

export interface Gap {
  /** Batches of results that are gone. */
  batches: number;
}

/** Read once, with `for await`. Leaving the loop ends it. */
export type Subscription = AsyncIterableIterator<ReceivedMessage>;

/** Used by handlers, which wait until they are listened for. */
export interface SubscriptionHooks {
  onOpen?: () => void;
}

const keys = ["from", "resumeToken", "sourceIds", "onGap", "signal"] as const;

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
}

async function* read(
  channel: Channel,
  stream: string,
  { from, resumeToken, sourceIds = [], onGap, signal, onOpen }: SubscribeOptions & SubscriptionHooks,
): AsyncGenerator<ReceivedMessage, void, undefined> {
  const place: Place = parsePlace(resumeToken ?? "");
  const startAt = from === "earliest" ? StartAt.START_AT_EARLIEST : StartAt.START_AT_UNSPECIFIED;
  const responses = follow(channel, {
    attempted: `subscribe to ${stream}`,
    open: () => {
      const request = { stream, resumeToken: place.token, startAt, sourceIds: [...sourceIds] };
      return channel.readable(SubscribeServiceService.subscribe, request);
    },
    ...(onOpen !== undefined && { onOpen }),
    signal: signal === undefined ? channel.closed : AbortSignal.any([signal, channel.closed]),
  });
  for await (const { messages, resumeToken: token, gap } of responses) {
    if (gap !== undefined) reportGap(channel, stream, { gap, onGap });
    if (messages.length === 0) {
      // A heartbeat names the place that was reached; before its first response, what was read in it still
      // counts.
      if (token !== "" && place.lastId === undefined) place.token = token;
      continue;
    }
    const fresh = unread(messages, place.lastId);
    const before = place.token;
    place.token = token;
    place.lastId = undefined;
    for (const [index, message] of fresh.entries()) {
      const isLast = index === fresh.length - 1;
      yield toReceived(message, isLast ? token : formatPlace({ token: before, lastId: message.id }));
      if (signal?.aborted === true) return;
    }
  }
}

interface GapReport {
  gap: Gap;
  onGap: ((gap: Gap) => void) | undefined;
}

function reportGap(channel: Channel, stream: string, { gap, onGap }: GapReport): void {
  if (onGap !== undefined) onGap({ batches: gap.batches });
  else channel.logger.warn({ stream, batches: gap.batches }, "results were discarded before they were read");
}
