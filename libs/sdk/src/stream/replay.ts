import { ReplayServiceService, ReplaySource, type ReplayBound } from "@millrace/proto/replay";
import type { Position } from "../publish/publisher.js";
import type { Channel } from "../rpc/channel.js";
import { invalidArgument, MillraceError } from "../rpc/millrace-error.js";
import { checkKeys, checkOneOf, checkText } from "../units/checks.js";
import { parseSize, type Size } from "../units/size.js";

export interface ReplayOptions {
  /** The stream that it goes into. */
  into: string;
  /** The first message: by event time, or by position in one source. Default: the first that is kept. */
  from?: Date | Position;
  /** The first message that is left out, by the same kind of bound. */
  to?: Date | Position;
  /** Default: what still has the interval. */
  source?: "results" | "storage";
  /** Default 1000, unless `bytesPerSecond` is given. */
  messagesPerSecond?: number;
  bytesPerSecond?: Size;
  /** Ends the replay; the same one again goes on. */
  signal?: AbortSignal;
  /** Told about twice a second. */
  onProgress?: (progress: ReplayProgress) => void;
}

export interface ReplayProgress {
  source: "results" | "storage";
  /** Messages that are durable in the other stream. */
  messages: number;
  /** Of these, how many were there already from an earlier replay. */
  recognised: number;
  contentBytes: number;
}

const optionKeys = [
  "into",
  "from",
  "to",
  "source",
  "messagesPerSecond",
  "bytesPerSecond",
  "signal",
  "onProgress",
] as const;
const sources = {
  results: ReplaySource.REPLAY_SOURCE_RESULTS,
  storage: ReplaySource.REPLAY_SOURCE_STORAGE,
} as const;

/** Resolves with the final count. Errors: `canceled` when the signal ended it. */
export async function replay(
  channel: Channel,
  stream: string,
  options: ReplayOptions,
): Promise<ReplayProgress> {
  checkKeys(options, optionKeys, "");
  checkText(options.into, "into");
  if (options.source !== undefined) checkOneOf(options.source, "source", Object.keys(sources));
  const { messagesPerSecond = 0, bytesPerSecond, signal } = options;
  if (!Number.isInteger(messagesPerSecond) || messagesPerSecond < 0 || messagesPerSecond >= 2 ** 32) {
    throw invalidArgument("messagesPerSecond", `is ${messagesPerSecond}`, "Give a whole number from 1 on.");
  }
  const attempted = `replay ${stream} into ${options.into}`;
  if (signal?.aborted === true) throw new MillraceError("canceled", `${attempted}: canceled before it began`);
  const call = channel.readable(ReplayServiceService.replay, {
    stream,
    into: options.into,
    from: toBound(options.from, "from"),
    to: toBound(options.to, "to"),
    source: options.source === undefined ? ReplaySource.REPLAY_SOURCE_UNSPECIFIED : sources[options.source],
    messagesPerSecond,
    bytesPerSecond: bytesPerSecond === undefined ? 0 : parseSize(bytesPerSecond, "bytesPerSecond"),
  });
  const cancel = (): void => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    for await (const response of call) {
      const { messages, recognised, contentBytes } = response;
      const isStored = response.source === ReplaySource.REPLAY_SOURCE_STORAGE;
      const progress = {
        source: isStored ? "storage" : "results",
        messages,
        recognised,
        contentBytes,
      } as const;
      options.onProgress?.(progress);
      if (response.done) return progress;
    }
  } catch (caught) {
    throw MillraceError.from(caught, attempted);
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
  throw new MillraceError("unavailable", `${attempted}: it ended without a final count`, {
    remedy: "Call it again: what was sent is recognised.",
  });
}

function toBound(bound: Date | Position | undefined, field: string): ReplayBound | undefined {
  if (bound === undefined) return undefined;
  if (!(bound instanceof Date)) return { kind: { $case: "position", value: bound } };
  const milliseconds = bound.getTime();
  if (!Number.isFinite(milliseconds)) throw invalidArgument(field, "is no time", "Give a valid Date.");
  const seconds = Math.floor(milliseconds / 1_000);
  const nanos = Math.round((milliseconds - seconds * 1_000) * 1e6);
  return { kind: { $case: "time", value: { seconds, nanos } } };
}
