import { join } from "node:path";
import { encodeBatch, idText, limits, type OpenBatch } from "@millrace/envelope";
import { Batch, type SegmentRange } from "@millrace/proto/batch";
import type { FramePlace, FrameToAppend } from "./log/frame-writer.js";
import type { RecoveredFrame } from "./log/scan.js";
import { openSegmentLog, type SegmentLogOptions } from "./log/segment-log.js";

export interface PlacedBatch {
  id: string;
  subject: string;
  /** The batch as it travels on the bus: with its body, or with the range where that lies. */
  bytes: Uint8Array;
  messageCount: number;
  inSegment: boolean;
}

/** Where the bodies of a service's own batches lie until nobody refers to them. */
export interface BodyStore {
  /**
   * `verify` throws where the body is not any more what was opened: before a copy of it could become durable.
   */
  place(open: OpenBatch, subject: string, verify?: () => void | Promise<void>): Promise<PlacedBatch>;
  /** The batch's message is gone from the broker, or was never stored: its body can go. */
  release(id: string): Promise<void>;
  /**
   * Batches that were durable when the last life of this service ended: publish them again under their old
   * ids.
   */
  recovered: readonly PlacedBatch[];
  /** Bytes of segment files in use. */
  liveBytes(): number;
  damaged: number;
  close(): Promise<void>;
}

export interface BodyStoreOptions extends Omit<SegmentLogOptions, "dir"> {
  /** Directory of one side, raw or clean. */
  sideDir: string;
  side: "raw" | "clean";
  /** Who writes: service and instance. */
  owner: string;
  node: string;
}

/** The rule, in one place: up to 64 KiB a body travels on the bus, above it by segment. */
export function travelsInline(bodyBytes: number): boolean {
  return bodyBytes <= limits.inlineBytesMax;
}

export async function openBodyStore(options: BodyStoreOptions): Promise<BodyStore> {
  const { side, owner, node } = options;
  const log = await openSegmentLog({ ...options, dir: join(options.sideDir, owner) });
  const held = new Map<string, FramePlace>();
  const rangeOf = (place: FramePlace): SegmentRange => ({
    node,
    log: `${side}/${owner}`,
    segment: place.segment,
    offset: place.offset,
    length: place.length,
    crc32: place.crc32,
  });
  const appending = new Map<string, Promise<FramePlace>>();
  const recovered = onePerId(log.recovered, held, log.release).map((frame) => {
    return {
      id: frame.id,
      subject: frame.subject,
      bytes: withRange(frame.batch, rangeOf(frame.place)),
      messageCount: Batch.decode(frame.batch).header?.count ?? 0,
      inSegment: true,
    };
  });
  const append = (frame: FrameToAppend): Promise<FramePlace> => {
    const { id } = frame;
    const appended = log
      .append(frame)
      .then((place) => {
        held.set(id, place);
        return place;
      })
      .finally(() => appending.delete(id));
    appending.set(id, appended);
    return appended;
  };
  return {
    recovered,
    damaged: log.damaged,
    liveBytes: log.liveBytes,
    close: log.close,
    place: async (open, subject, verify) => {
      const id = idText(open.header.id);
      const inSegment = !travelsInline(open.body.length);
      const placed = { id, subject, messageCount: open.header.count, inSegment };
      if (!inSegment) {
        return { ...placed, bytes: encodeBatch(open, { $case: "inline", value: open.body }) };
      }
      // Ids are derived from content's origin, so the same id again is the same batch: a redelivery after a
      // crash finds what the last life wrote, and the stored reference stays true.
      const batch = encodeBatch(open, undefined);
      const frame = { id, subject, batch, body: open.body, verify };
      const place = held.get(id) ?? (await (appending.get(id) ?? append(frame)));
      return { ...placed, bytes: withRange(batch, rangeOf(place)) };
    },
    release: async (id) => {
      const place = held.get(id);
      if (place === undefined) return;
      held.delete(id);
      await log.release(place);
    },
  };
}

/** Fields of a protobuf message may follow in any order: columns are encoded once, for frame and bus. */
function withRange(batch: Uint8Array, range: SegmentRange): Uint8Array {
  const body = Batch.encode(Batch.fromPartial({ body: { $case: "range", value: range } })).finish();
  return Buffer.concat([batch, body]);
}

/** For a writer that shares no disk with its readers: every body travels in its batch. */
export function inlineBodyStore(): BodyStore {
  return {
    place: async (open, subject) => ({
      id: idText(open.header.id),
      subject,
      messageCount: open.header.count,
      inSegment: false,
      bytes: encodeBatch(open, { $case: "inline", value: open.body }),
    }),
    release: async () => undefined,
    recovered: [],
    liveBytes: () => 0,
    damaged: 0,
    close: async () => undefined,
  };
}

/** The frames to hold, one an id; a second frame of the same id is freed, or its segment would never be. */
function onePerId(
  frames: readonly RecoveredFrame[],
  held: Map<string, FramePlace>,
  free: (place: FramePlace) => Promise<void>,
): RecoveredFrame[] {
  return frames.filter((frame) => {
    if (held.has(frame.id)) {
      void free(frame.place).catch(() => undefined);
      return false;
    }
    held.set(frame.id, frame.place);
    return true;
  });
}
