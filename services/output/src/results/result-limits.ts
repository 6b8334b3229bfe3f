import type { Stream } from "@millrace/proto/stream";

/** A stored result message. */
export interface Frame {
  seq: number;
  bytes: number;
  /** When it was stored. */
  timeMs: number;
}

const defaults = { bytes: 256 * 1024 * 1024, ageSeconds: 3_600 };

export const resultBytes = (stream: Stream): number => stream.outputs?.results?.bytes || defaults.bytes;
export const resultAgeSeconds = (stream: Stream): number =>
  Math.max(1, stream.outputs?.results?.age?.seconds ?? defaults.ageSeconds);
