import { join } from "node:path";
import { encodeBatch, idText, type SendableBatch } from "@millrace/envelope";
import { Batch, type SegmentRange } from "@millrace/proto/batch";
import { nodeDisk } from "./disk/disk.js";
import { createSegmentLeases, type LeasedFrame, type SegmentLeases } from "./lease/segment-leases.js";
import type { FramePlace, FrameToAppend } from "./log/frame-writer.js";
import type { IsOurs, RecoveredFrame } from "./log/scan.js";
import { openSegmentLog, type SegmentLogOptions } from "./log/segment-log.js";
import { type Held, openStragglers } from "./spill/stragglers.js";
import { inlineBatch, type PlacedBatch, travelsInline, withRange } from "./placed-batch.js";

/** Of the clean side: the logs of inference where it may write to nothing else there. */
export const inferredFolder = "inference";

/** Where the bodies of a service's own batches lie until nobody refers to them. */
export interface BodyStore {
  /**
   * `verify` throws where the body is not any more what was opened: before a copy of it could become durable.
   */
  place(open: SendableBatch, subject: string, verify?: () => void | Promise<void>): Promise<PlacedBatch>;
  /** The batch's message is gone from the broker, or was never stored: its body can go. */
  release(id: string): Promise<void>;
  /**
   * Batches that were durable when the last life of this service ended: publish them again under their old
   * ids.
   */
  recovered: readonly PlacedBatch[];
  /**
   * To be called every second: copies stragglers aside, so that they pin no segment, and tries again to put
   * away what the disk refused.
   */
  keep(): Promise<void>;
  /** Bytes of segment files in use, and of what was copied aside. */
  liveBytes(): number;
  spilledBytes(): number;
  damaged: number;
  close(): Promise<void>;
}

export interface BodyStoreOptions extends Omit<SegmentLogOptions, "dir"> {
  /** Directory of one side, raw or clean; or that of `folder` in it. */
  sideDir: string;
  /** What readers have `sideDir` as, below their directory of the side. Absent: it is that. */
  folder?: typeof inferredFolder | undefined;
  side: "raw" | "clean";
  /** Who writes: service and instance. */
  owner: string;
  node: string;
  /** Milliseconds since any fixed moment, never set back; stragglers are told by it. */
  monotonic(): number;
}

/** A body store that leases segments of its log to writers on the same node. */
export interface LeasingBodyStore extends BodyStore {
  leases: SegmentLeases;
  /**
   * Batches that writers made durable without a subject, by the last life of this service: they are accepted
   * as if they came now.
   */
  left: readonly PlacedBatch[];
  /**
   * A batch whose body its writer wrote in vain, because it is known: the frame goes, unless it is that one.
   */
  discard(id: string, range: SegmentRange): Promise<void>;
  /** What came of the body lies elsewhere: the frame goes. */
  finish(id: string, range: SegmentRange): Promise<void>;
  /** Until it is unpinned a body is not freed, whatever is released. */
  pin(id: string): void;
  /** `isReferred`: some message refers to it, or did and is gone already; otherwise it is freed now. */
  unpin(id: string, isReferred: boolean): Promise<void>;
}

export interface LeasingOptions extends BodyStoreOptions {
  epoch: number;
  leaseMs: number;
  /** Takes what an ended lease left; each body is pinned. The end does not wait for what it begins. */
  onLeft(left: readonly PlacedBatch[]): void;
  onDamaged?: (count: number) => void;
}

export async function openBodyStore(options: BodyStoreOptions): Promise<BodyStore> {
  return (await open(options, false)).store;
}

export async function openLeasingBodyStore(options: LeasingOptions): Promise<LeasingBodyStore> {
  const { store, log, held, placedOf, recoveredOf, pins } = await open(options, true);
  /** Pinned again, what happened to it since the first time still counts. */
  const pin = (id: string): void => {
    if (!pins.has(id)) pins.set(id, { wasReleased: false, isPlaced: false });
  };
  const leases = createSegmentLeases({
    ...options,
    dir: join(options.sideDir, options.owner),
    disk: options.disk ?? nodeDisk,
    shelf: log.shelf,
    roomWaitMs: options.roomWaitMs ?? 0,
    onDamaged: (count) => options.onDamaged?.(count),
    onDiskFailed: log.breakWith,
    onLeft: (frames) => {
      const left = recoveredOf(frames);
      for (const { id } of left) pin(id);
      options.onLeft(left);
    },
  });
  const left = store.recovered.filter(({ subject }) => subject === "");
  for (const { id } of left) pin(id);
  return {
    ...store,
    recovered: store.recovered.filter(({ subject }) => subject !== ""),
    left,
    leases,
    place: async (batch, subject, verify) => {
      const range = batch.leased;
      if (range === undefined) return store.place(batch, subject, verify);
      const id = idText(batch.header.id);
      const frame = leasedFrame(id, range);
      const known = held.get(id)?.place;
      // Its writer may offer it while it waits here as one that was left: then a message refers to it.
      if (pins.has(id)) pins.set(id, { wasReleased: false, isPlaced: true });
      if (known === undefined) {
        await leases.commit(frame);
        held.set(id, { place: frame.place, since: options.monotonic() });
      } else if (!isSame(known, frame.place)) await leases.discard(frame);
      const placed = { id, subject, batch: encodeBatch(batch, undefined), place: known ?? frame.place };
      return placedOf(placed, batch.header.count);
    },
    discard: async (id, range) => {
      const frame = leasedFrame(id, range);
      const known = held.get(id)?.place;
      if (known === undefined || !isSame(known, frame.place)) await leases.discard(frame);
    },
    finish: async (id, range) => {
      if (held.has(id)) await store.release(id);
      else await leases.discard(leasedFrame(id, range));
    },
    pin,
    unpin: async (id, isReferred) => {
      const { wasReleased = false, isPlaced = false } = pins.get(id) ?? {};
      pins.delete(id);
      if (wasReleased || !(isReferred || isPlaced)) await store.release(id);
    },
  };
}

/** By their bodies: a range on the bus does not say where its frame begins. */
const isSame = (a: FramePlace, b: FramePlace): boolean => a.segment === b.segment && a.offset === b.offset;

function leasedFrame(id: string, range: SegmentRange): LeasedFrame {
  const { segment, frameOffset, offset, length, crc32 } = range;
  return { id, segment, epoch: range.leaseEpoch, place: { segment, frameOffset, offset, length, crc32 } };
}

/** Of a body that is pinned: the last of these that happened to it. */
interface Pin {
  wasReleased: boolean;
  /** A message was made that refers to it. */
  isPlaced: boolean;
}

/** A frame that nobody of this side can have written is damage: it must neither be published nor stop us. */
function createIsOurs(side: BodyStoreOptions["side"], isLeasing: boolean): IsOurs {
  return ({ subject, batch }) => {
    const isRaw = subject.startsWith("raw.");
    const isOfSide = subject === "" ? isLeasing : isRaw === (side === "raw");
    return isOfSide && isBatch(batch);
  };
}

function isBatch(bytes: Uint8Array): boolean {
  try {
    return Batch.decode(bytes).header !== undefined;
  } catch {
    return false;
  }
}

async function open(options: BodyStoreOptions, isLeasing: boolean) {
  const { side, owner, node, folder } = options;
  const name = [side, folder, owner].filter((part) => part !== undefined).join("/");
  const log = await openSegmentLog({
    ...options,
    dir: join(options.sideDir, owner),
    isOurs: createIsOurs(side, isLeasing),
  });
  const held: Held = new Map();
  const stragglers = await openStragglers({ ...options, log, held });
  const pins = new Map<string, Pin>();
  const appending = new Map<string, Promise<FramePlace>>();
  const placedOf = ({ id, subject, batch, place }: RecoveredFrame, messageCount: number): PlacedBatch => {
    const range = rangeOf(place, { node, log: name });
    return { id, subject, bytes: withRange(batch, range), messageCount, inSegment: true };
  };
  const recoveredOf = (frames: readonly RecoveredFrame[]): PlacedBatch[] =>
    onePerId(frames, held, (place) => stragglers.free({ place, since: 0 })).map((frame) =>
      placedOf(frame, Batch.decode(frame.batch).header?.count ?? 0),
    );
  /** What is written from where it lies may change under the write: nobody is told of that frame then. */
  const stillThat = async ({ verify }: FrameToAppend, place: FramePlace): Promise<void> => {
    try {
      await verify?.();
    } catch (caught) {
      await log.release(place).catch(() => undefined);
      throw caught;
    }
  };
  const append = (frame: FrameToAppend): Promise<FramePlace> => {
    const { id } = frame;
    const appended = log
      .append(frame)
      .then(async (place) => {
        await stillThat(frame, place);
        held.set(id, { place, since: options.monotonic() });
        return place;
      })
      .finally(() => appending.delete(id));
    appending.set(id, appended);
    return appended;
  };
  const store: BodyStore = {
    recovered: recoveredOf([...log.recovered, ...stragglers.recovered]),
    damaged: log.damaged + stragglers.damaged,
    keep: async () => void (await Promise.all([stragglers.spill(), log.shelf.putAway()])),
    liveBytes: log.liveBytes,
    spilledBytes: stragglers.bytes,
    close: log.close,
    place: async (batch, subject, verify) => {
      const id = idText(batch.header.id);
      if (travelsInline(batch.header.bodyBytes)) return inlineBatch(batch, subject);
      // Ids are derived from content's origin, so the same id again is the same batch: a redelivery after a
      // crash finds what the last life wrote, and the stored reference stays true.
      const frame = {
        id,
        subject,
        batch: encodeBatch(batch, undefined),
        body: batch.body,
        bodyCrc32: batch.bodyCrc32,
        verify,
      };
      const place = held.get(id)?.place ?? (await (appending.get(id) ?? append(frame)));
      return placedOf({ ...frame, place }, batch.header.count);
    },
    release: async (id) => {
      const pinned = pins.get(id);
      if (pinned !== undefined) pins.set(id, { wasReleased: true, isPlaced: false });
      const kept = pinned === undefined ? held.get(id) : undefined;
      if (kept === undefined) return;
      held.delete(id);
      await stragglers.free(kept);
    },
  };
  return { store, log, held, pins, placedOf, recoveredOf };
}

function rangeOf(place: FramePlace, { node, log }: { node: string; log: string }): SegmentRange {
  const { segment, offset, length, crc32 } = place;
  return { node, log, segment, offset, length, crc32, frameOffset: 0, leaseEpoch: 0 };
}

/** The frames to hold, one an id; a second frame of the same id is freed, or its segment would never be. */
function onePerId(
  frames: readonly RecoveredFrame[],
  held: Held,
  free: (place: FramePlace) => Promise<void>,
): RecoveredFrame[] {
  return frames.filter((frame) => {
    if (held.has(frame.id)) {
      void free(frame.place).catch(() => undefined);
      return false;
    }
    // Old already, whatever its age: its message was stored in an earlier life.
    held.set(frame.id, { place: frame.place, since: Number.NEGATIVE_INFINITY });
    return true;
  });
}
