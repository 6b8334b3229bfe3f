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
  /** Of those, what was not of this log. */
  damaged: number;
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

/*
 * When a segment is emptied that way:
 *
 *     room     all of it is 10 s old: whatever is settled in the normal course of things is gone long before;
 *              and at most a quarter is left
 *     pressed  more than half of `liveBytesMax` is in use: all of it is 1 s old, at most three quarters are
 *              left, and it would stay for 10 s more at the pace of the last second
 *
 * A backlog fills whole segments, and copying those would free nothing. One that drains empties each quickly,
 * which its pace tells.
 */
const rules = { room: { oldMs: 10_000, partMax: 0.25 }, pressed: { oldMs: 1_000, partMax: 0.75 } };
const pressedFrom = 0.5;
const sweepsToStay = 10;
/** Of `liveBytesMax`, within which it counts. */
const spilledPartMax = 0.5;

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
  const { found, damaged } = await shelf.recover(log.shelf.isOurs);
  const fromEarlier = new Set(found.map(({ frame }) => keyOf(frame.place)));
  for (const { frame, bytes: size } of found) count(frame.place, size);

  /** Bytes left in each segment at the last sweep. */
  let leftBefore = new Map<number, number>();
  const stays = ({ segment, left }: Remains): boolean => {
    const before = leftBefore.get(segment.number);
    return before !== undefined && (before - left) * sweepsToStay <= left;
  };
  const isWorth = (remains: Remains): boolean => {
    const { segment, frames, left } = remains;
    const now = options.monotonic();
    const fits = ({ oldMs, partMax }: typeof rules.room): boolean =>
      left <= partMax * segmentBytes && [...frames.values()].every(({ since }) => since <= now - oldMs);
    const isPressed = log.liveBytes() > pressedFrom * options.liveBytesMax;
    return (
      segment.sealed &&
      // Otherwise somebody is just writing or taking over another one.
      frames.size === segment.live &&
      bytes + left <= spilledPartMax * options.liveBytesMax &&
      (fits(rules.room) || (isPressed && fits(rules.pressed) && stays(remains)))
    );
  };
  const empty = async ({ segment, frames }: Remains): Promise<void> => {
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
    damaged,
    bytes: () => bytes,
    spill: async () => {
      const all = [...bySegment(held)].flatMap(([number, frames]): Remains[] => {
        const segment = log.shelf.segments.get(number);
        return segment === undefined ? [] : [{ segment, frames, left: bytesOf(frames) }];
      });
      // What frees most for what it copies goes first.
      all.sort((a, b) => a.left - b.left);
      for (const remains of all) if (isWorth(remains)) await empty(remains);
      leftBefore = new Map(all.map(({ segment, left }) => [segment.number, left]));
    },
    free: async ({ place, isAside }) => {
      // A frame of an earlier life may lie in both: then the first to be freed is the copy.
      if (isAside === true || fromEarlier.delete(keyOf(place))) await remove(place);
      else await log.release(place);
    },
  };
}

/** What is held of a segment. */
interface Remains {
  segment: Segment;
  frames: ReadonlyMap<string, HeldFrame>;
  left: number;
}

function bytesOf(frames: ReadonlyMap<string, HeldFrame>): number {
  let sum = 0;
  for (const { place } of frames.values()) sum += place.offset - place.frameOffset + place.length;
  return sum;
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
