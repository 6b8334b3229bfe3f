import { crc32 } from "@millrace/files";
import { encodeFrameHeader, encodeMeta } from "../log/frame.js";

/** The id that forged frames bear, so that one which is taken for a frame is known. */
export const forgedId = "f".repeat(32);

export interface Forgery {
  subject: string;
  batch: Uint8Array;
  body: Uint8Array;
  /** What its maker guesses; nobody outside can know it. */
  salt: bigint;
  /** Numbers of the segments that they are meant for. */
  segments: readonly number[];
}

/** What somebody who knows the format would send as the content of a message: one whole frame a segment. */
export function forge({ subject, batch, body, salt, segments }: Forgery): Buffer {
  const meta = encodeMeta(subject, batch);
  const frames = segments.map((segment) => {
    const lengths = { metaBytes: meta.length, bodyBytes: body.length };
    const crcs = { metaCrc: crc32(meta), bodyCrc: crc32(body) };
    const header = encodeFrameHeader({ segment, salt, id: forgedId, ...lengths, ...crcs });
    const frame = Buffer.concat([header, meta, body]);
    return Buffer.concat([frame, Buffer.alloc(-frame.length & 7)]);
  });
  return Buffer.concat(frames);
}

/** A body of that many bytes, full of frames of the first segments, at any place where one may begin. */
export function forgedFrames(bytes: number): Buffer {
  const segments = Array.from({ length: 12 }, (_, n) => n + 1);
  const one = forge({ subject: "s", batch: Buffer.alloc(0), body: Buffer.alloc(5, 1), salt: 0n, segments });
  return Buffer.concat([one, Buffer.alloc(2), one, Buffer.alloc(3), one, Buffer.alloc(bytes)]).subarray(
    0,
    bytes,
  );
}
