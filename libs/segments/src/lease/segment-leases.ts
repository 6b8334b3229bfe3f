import { assert, CodedError } from "@millrace/errors";
import { writeAll } from "@millrace/files";
import type { Disk } from "../disk/disk.js";
import {
  decodeFrameHeader,
  frameBytes,
  frameHeaderBytes,
  freedMark,
  liveMark,
  segmentHeadBytes,
  stateAt,
} from "../log/frame.js";
import type { FramePlace } from "../log/frame-writer.js";
import { quarantine } from "../log/quarantine.js";
import { type RecoveredFrame, scanSegment } from "../log/scan.js";
import type { Segment, Shelf } from "../log/segment-shelf.js";

/*
 * Whole segments, leased to writers on the same node: the owner of the log alone creates, counts and recycles
 * files, and a writer needs no hop for the bytes of a batch.
 *
 *     grant ──► held ──commit, renew──► held ──┬─ end by its writer
 *                                              │         ──► ending ──► sealed ──► recycled when empty
 *                                              └─ time is over, owner or writer started anew
 *                                                        ──► ending ──► sealed, tainted ──► removed if empty
 *
 *     ending ──read through, where something may be left──┬─► sealed
 *        ▲                                                │
 *        └──tried again each second, and told─────────────┘
 *
 * A lease is of one segment, whose number never repeats, and of one life of the owner, the epoch. Its end
 * leaves two kinds of frames: those that were committed, and those that their writer wrote and did not
 * commit, which are taken as if they had been. After it nothing of it can be committed. A writer that was
 * stopped and wakes after the end may still write into the file, at places that it reserved for itself:
 * therefore a lease that its writer did not end itself taints the file, and it is never used again.
 */
export interface LeaseKey {
  segment: number;
  epoch: number;
}

/** A frame that a writer with a lease made durable. */
export interface LeasedFrame extends LeaseKey {
  id: string;
  place: FramePlace;
}

export interface SegmentLeases {
  /** Errors: `resource_exhausted` when there is no room. */
  grant(writer: string): Promise<LeaseKey>;
  /** Errors of this and of `commit`: `failed_precondition` when the lease has ended. */
  renew(key: LeaseKey): void;
  /** Counts the frame as live. Committed again after it was freed, it lives again. */
  commit(frame: LeasedFrame): Promise<void>;
  /** Takes note of a frame that nobody will refer to: its batch is known by another one. */
  discard(frame: LeasedFrame): Promise<void>;
  /** Its writer writes no more; `writtenTo` is where it would have written next. */
  end(key: LeaseKey, writtenTo: number): Promise<void>;
  /** Whoever had that name before is gone. What he left is known when it resolves. */
  endAllOf(writer: string): Promise<void>;
  /** Also those for which it failed before. Each is tried; errors: that of the first that fails. */
  endExpired(): Promise<void>;
  /** Leases that are held. */
  size(): number;
  /** Why leases could not be ended when it was last tried: their segments can't be used again until then. */
  endsFailed(): readonly CodedError[];
}

export interface LeaseOptions {
  shelf: Shelf;
  disk: Disk;
  dir: string;
  /** Of this life of the owner: higher than that of any earlier one. */
  epoch: number;
  leaseMs: number;
  roomWaitMs: number;
  /** Milliseconds since any fixed moment, never set back. */
  monotonic(): number;
  /** Takes the frames that an ended lease left uncommitted, which count as live. No end waits for more. */
  onLeft(frames: readonly RecoveredFrame[]): void;
  onDamaged(count: number): void;
  /**
   * A sync or the making of a file failed: what the disk holds is in doubt from now on, and no second try
   * tells. The error for whoever asked.
   */
  onDiskFailed(cause: unknown): CodedError;
}

interface Lease extends LeaseKey {
  writer: string;
  held: Segment;
  endsAt: number;
  /** Bytes of the committed frames by their offsets. */
  committed: Map<number, number>;
  committedBytes: number;
  /** Since its end nothing of it can be committed. */
  ended: { writtenTo: number | undefined } | undefined;
  sealing: Promise<void> | undefined;
  failure: CodedError | undefined;
}

export function createSegmentLeases(options: LeaseOptions): SegmentLeases {
  const { shelf, epoch, monotonic, leaseMs } = options;
  const leases = new Map<number, Lease>();

  const find = (key: LeaseKey): Lease => {
    const lease = leases.get(key.segment);
    if (lease === undefined || lease.ended || key.epoch !== epoch || lease.endsAt <= monotonic()) {
      throw new CodedError("failed_precondition", `commit to segment ${key.segment}: its lease has ended`, {
        field: "lease",
        remedy: "Take a new lease and write the batch again, under its old id.",
      });
    }
    return lease;
  };

  /** Counts the frame's bytes as accounted for, and the frame as one that lives or does not. */
  const note = async (frame: LeasedFrame, lives: 0 | 1): Promise<{ lease: Lease; isNew: boolean }> => {
    const lease = find(frame);
    lease.endsAt = monotonic() + leaseMs;
    const bytes = await checkFrame(lease.held, frame);
    const { frameOffset } = frame.place;
    // The lease may have ended meanwhile, and the frame been taken as one that was left.
    find(frame);
    const isNew = !lease.committed.has(frameOffset);
    if (isNew) {
      lease.committed.set(frameOffset, bytes);
      lease.committedBytes += bytes;
    }
    lease.held.live += lives;
    return { lease, isNew };
  };

  /** Frames that nobody committed are the owner's from now on. */
  const takeLeft = async ({ held, committed }: Lease): Promise<void> => {
    // Its writer may have been killed before its own sync.
    await held.file.fdatasync().catch((cause: unknown) => {
      throw options.onDiskFailed(cause);
    });
    const { frames, damages, end } = await scanSegment(held.file, {
      segment: held.number,
      salt: held.salt,
      isOurs: shelf.isOurs,
      isKnown: (at) => committed.has(at),
    });
    // From here on nothing fails: what is tried again counts no frame twice.
    options.onDamaged(damages.length);
    for (const damage of damages)
      await quarantine(options.disk, { dir: options.dir, file: held.file, damage });
    held.end = end;
    held.live += frames.length;
    held.sealed = true;
    options.onLeft(frames);
  };
  const seal = async (lease: Lease, writtenTo: number | undefined): Promise<void> => {
    const { held } = lease;
    held.tainted = writtenTo === undefined;
    if (writtenTo === undefined || writtenTo - segmentHeadBytes !== lease.committedBytes)
      await takeLeft(lease);
    else held.end = writtenTo;
    held.sealed = true;
    leases.delete(lease.segment);
    await shelf.recycleIfDone(held);
  };
  /** Of several calls only the first says how it ends; all wait for that. */
  const finish = async (lease: Lease, writtenTo: number | undefined): Promise<void> => {
    if (leases.get(lease.segment) !== lease) return;
    lease.ended ??= { writtenTo };
    lease.sealing ??= seal(lease, lease.ended.writtenTo)
      .catch((caught: unknown) => {
        lease.failure = CodedError.from(caught, `end the lease of segment ${lease.segment}`);
        throw lease.failure;
      })
      .finally(() => {
        lease.sealing = undefined;
      });
    return lease.sealing;
  };
  /** One after the other; that one can't be ended keeps none of the others. */
  const finishEach = async (which: (lease: Lease) => boolean): Promise<void> => {
    const failures: CodedError[] = [];
    for (const lease of [...leases.values()].filter(which)) {
      await finish(lease, undefined).catch((caught: unknown) => failures.push(CodedError.from(caught)));
    }
    const [first] = failures;
    if (first !== undefined) throw first;
  };

  return {
    grant: async (writer) => {
      const held = await shelf.openNext("lease", options.roomWaitMs).catch((cause: unknown) => {
        throw cause instanceof CodedError ? cause : options.onDiskFailed(cause);
      });
      const endsAt = monotonic() + leaseMs;
      const key = { segment: held.number, epoch };
      const none = { committed: new Map(), committedBytes: 0 };
      const open = { ended: undefined, sealing: undefined, failure: undefined };
      leases.set(held.number, { ...key, writer, held, endsAt, ...none, ...open });
      return key;
    },
    renew: (key) => {
      find(key).endsAt = monotonic() + leaseMs;
    },
    commit: async (frame) => {
      const { lease, isNew } = await note(frame, 1);
      if (!isNew) await writeAll(lease.held.file, [liveMark], stateAt(frame.place.frameOffset));
    },
    discard: async (frame) => {
      const { lease, isNew } = await note(frame, 0);
      if (isNew) await writeAll(lease.held.file, [freedMark], stateAt(frame.place.frameOffset));
    },
    end: async (key, writtenTo) => finish(find(key), writtenTo),
    endAllOf: (writer) => finishEach((lease) => lease.writer === writer),
    endExpired: () => finishEach(({ ended, endsAt }) => ended !== undefined || endsAt <= monotonic()),
    size: () => [...leases.values()].filter(({ ended }) => ended === undefined).length,
    endsFailed: () => [...leases.values()].flatMap(({ failure }) => failure ?? []),
  };
}

/** Its bytes in the file, after a look whether it is there at all. */
async function checkFrame({ file, number, salt }: Segment, { id, place }: LeasedFrame): Promise<number> {
  assert(place.segment === number, "the place is in the leased segment");
  const bytes = Buffer.alloc(frameHeaderBytes);
  await file.read(bytes, place.frameOffset);
  const header = decodeFrameHeader(bytes, salt);
  const isThere =
    header !== undefined &&
    header.segment === number &&
    header.id === id &&
    header.bodyBytes === place.length &&
    header.bodyCrc === place.crc32 &&
    place.offset === place.frameOffset + frameHeaderBytes + header.metaBytes;
  if (!isThere) {
    throw new CodedError("invalid_argument", `commit to segment ${number}: no such frame there`, {
      field: "batch.body.range",
    });
  }
  return frameBytes(header.metaBytes, header.bodyBytes);
}
