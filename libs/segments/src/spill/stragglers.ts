import { join } from "node:path";
import { nodeDisk } from "../disk/disk.js";
import type { FramePlace } from "../log/frame-writer.js";
import type { RecoveredFrame } from "../log/scan.js";
import type { SegmentLog, SegmentLogOptions } from "../log/segment-log.js";
import type { Segment } from "../log/segment-shelf.js";
import { createSpillShelf } from "./spill-shelf.js";

/** A frame that some message refers to. */
export interface HeldFrame {
  place: FramePlace;
  /** When it began to be held. */
  since: number;
  /** It lies aside, no longer in its segment. */
  isAside?: boolean;
}

export type Held = Map<string, HeldFrame>;

export interface Stragglers {
  /** Spilled by earlier lives, and still referred to. */
  recovered: readonly RecoveredFrame[];
  /** Copies aside what is old and alone in its segment. */
  spill(): Promise<void>;
  /** Nothing refers to the frame any more, wherever it lies. */
  free(held: HeldFrame): Promise<void>;
  bytes(): number;
}

export interface StragglerOptions extends Omit<SegmentLogOptions, "dir"> {
  sideDir: string;
  owner: string;
  log: SegmentLog;
  held: Held;
  monotonic(): number;
}

/** A batch that is settled in the normal course of things is gone long before. */
const oldMs = 10_000;
/**
 * A segment is emptied that way only where at most a quarter of it is left: a backlog fills whole segments,
 * and copying those would free nothing.
 */
const partMax = 0.25;
/** Of `liveBytesMax`, within which it counts. */
const spilledPartMax = 0.25;

export async function openStragglers(options: StragglerOptions): Promise<Stragglers> {
  const { log, held, segmentBytes } = options;
  const shelf = createSpillShelf(options.disk ?? nodeDisk, join(options.sideDir, options.owner));
  /** Bytes of each file, by segment and offset. */
  const copies = new Map<string, number>();
  let bytes = 0;
  const keyOf = ({ segment, offset }: FramePlace): string => `${segment}-${offset}`;
  const count = (place: FramePlace, size: number): void => {
    copies.set(keyOf(place), size);
    bytes += size;
    log.shelf.count(size);
  };
  const remove = async (place: FramePlace): Promise<void> => {
    const size = copies.get(keyOf(place)) ?? 0;
    copies.delete(keyOf(place));
    bytes -= size;
    log.shelf.count(-size);
    await shelf.remove(place);
  };
  const found = await shelf.recover();
  const fromEarlier = new Set(found.map(({ frame }) => keyOf(frame.place)));
  for (const { frame, bytes: size } of found) count(frame.place, size);

  const isWorth = (segment: Segment, frames: readonly HeldFrame[]): boolean => {
    const oldest = options.monotonic() - oldMs;
    const size = frames.reduce((sum, { place }) => sum + place.offset - place.frameOffset + place.length, 0);
    return (
      segment.sealed &&
      // Otherwise somebody is just writing or taking over another one.
      frames.length === segment.live &&
      frames.every(({ since }) => since <= oldest) &&
      size <= partMax * segmentBytes &&
      bytes + size <= spilledPartMax * options.liveBytesMax
    );
  };
  const empty = async (segment: Segment, frames: ReadonlyMap<string, HeldFrame>): Promise<void> => {
    try {
      for (const { place } of frames.values()) count(place, await shelf.write(segment, place));
      await shelf.sync();
    } catch (cause) {
      for (const { place } of frames.values()) if (copies.has(keyOf(place))) await remove(place);
      // All of it was freed meanwhile, and the file put away.
      if (log.shelf.segments.get(segment.number) !== segment) return;
      throw cause;
    }
    for (const [id, frame] of frames) {
      // Freed meanwhile: the copy is for nobody.
      if (held.get(id) !== frame) await remove(frame.place);
      else {
        frame.isAside = true;
        await log.release(frame.place);
      }
    }
  };
  return {
    recovered: found.map(({ frame }) => frame),
    bytes: () => bytes,
    spill: async () => {
      for (const [number, frames] of bySegment(held)) {
        const segment = log.shelf.segments.get(number);
        if (segment !== undefined && isWorth(segment, [...frames.values()])) await empty(segment, frames);
      }
    },
    free: async ({ place, isAside }) => {
      // A frame of an earlier life may lie in both: then the first to be freed is the copy.
      if (isAside === true || fromEarlier.delete(keyOf(place))) await remove(place);
      else await log.release(place);
    },
  };
}

/** Frames by segment and id, without those that lie aside already. */
function bySegment(held: Held): Map<number, Map<string, HeldFrame>> {
  const segments = new Map<number, Map<string, HeldFrame>>();
  for (const [id, frame] of held) {
    if (frame.isAside === true) continue;
    const { segment } = frame.place;
    const others = segments.get(segment) ?? new Map<string, HeldFrame>();
    segments.set(segment, others.set(id, frame));
  }
  return segments;
}
