import type { SourceReaderStatus } from "../source/source-reader.js";

/** How much was appended when; the more recent part of it tells how fast it goes. */
export interface LagRate {
  /** What a lag of bytes is in messages and seconds, as far as it can be told. */
  read(now: {
    appendedBytes: number;
    lagBytes: number;
  }): Pick<SourceReaderStatus, "lagMessages" | "lagSeconds">;
  /** Messages that were appended, and their bytes. */
  note(messages: number, bytes: number): void;
}

const windowMs = 30_000;
const samplesMax = 64;
/** Of a line, until one was seen. */
const guessedBytes = 256;

/**
 * Files tell bytes. Messages follow by the mean length so far; seconds by how fast appending went in the last
 * half minute and, where nothing was appended, by how long the source has been behind.
 */
export function createLagRate(monotonic: () => number): LagRate {
  const samples: { atMs: number; bytes: number }[] = [];
  let behindSinceMs: number | undefined;
  let total = { messages: 0, bytes: 0 };
  return {
    note: (messages, bytes) => {
      total = { messages: total.messages + messages, bytes: total.bytes + bytes };
    },
    read: ({ appendedBytes, lagBytes }) => {
      const atMs = monotonic();
      while (samples.length > samplesMax || atMs - (samples[0]?.atMs ?? atMs) > windowMs) samples.shift();
      samples.push({ atMs, bytes: appendedBytes });
      if (lagBytes === 0) {
        behindSinceMs = undefined;
        return { lagMessages: 0, lagSeconds: 0 };
      }
      behindSinceMs ??= atMs;
      const { messages, bytes } = total;
      const first = samples[0] ?? { atMs, bytes: appendedBytes };
      const moved = appendedBytes - first.bytes;
      const lagSeconds = moved > 0 ? (lagBytes * (atMs - first.atMs)) / moved : atMs - behindSinceMs;
      const meanBytes = messages === 0 ? guessedBytes : Math.max(1, bytes / messages);
      return { lagMessages: Math.ceil(lagBytes / meanBytes), lagSeconds: lagSeconds / 1000 };
    },
  };
}
