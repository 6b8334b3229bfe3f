import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { decodeFrameHeader, decodeMeta, frameBytes, frameHeaderBytes } from "./frame.js";
import type { FramePlace } from "./segment-log.js";

export interface RecoveredFrame {
  id: string;
  subject: string;
  /** The batch without its body, protobuf. */
  batch: Uint8Array;
  place: FramePlace;
}

export interface Scanned {
  frames: RecoveredFrame[];
  /** Frames with a good header whose meta or body is not what was written. */
  damaged: number;
  /** Where the last frame ends. */
  end: number;
}

/** Reads the frames of a segment from its start to its torn tail, or to where its former life begins. */
export async function scanSegment(file: FileHandle, segment: number): Promise<Scanned> {
  const scanned: Scanned = { frames: [], damaged: 0, end: 0 };
  const { size } = await file.stat();
  const head = Buffer.alloc(frameHeaderBytes);
  for (;;) {
    const at = scanned.end;
    if (at + frameHeaderBytes > size) return scanned;
    await file.read(head, 0, frameHeaderBytes, at);
    const header = decodeFrameHeader(head);
    if (header === undefined || header.segment !== segment) return scanned;
    const bytes = frameBytes(header.metaBytes, header.bodyBytes);
    if (at + bytes > size) return scanned;
    scanned.end = at + bytes;
    if (header.freed) continue;
    const content = Buffer.allocUnsafe(header.metaBytes + header.bodyBytes);
    await file.read(content, 0, content.length, at + frameHeaderBytes);
    const meta = content.subarray(0, header.metaBytes);
    const sound = crc32(meta) === header.metaCrc && crc32(content.subarray(header.metaBytes)) === header.bodyCrc;
    if (!sound) {
      // Its header is sound, so what follows can be found: only this frame is given up.
      scanned.damaged++;
      continue;
    }
    const { subject, batch } = decodeMeta(meta);
    scanned.frames.push({
      id: header.id,
      subject,
      batch: Uint8Array.from(batch),
      place: {
        segment,
        frameOffset: at,
        offset: at + frameHeaderBytes + header.metaBytes,
        length: header.bodyBytes,
        crc32: header.bodyCrc,
      },
    });
  }
}
