import type { GroupFrame, GroupProgress, StoredNumbers } from "@millrace/messaging";
import type { Group } from "@millrace/proto/group";
import { missingBatches } from "../subscribe/missing-batches.js";

export interface GapWatch {
  /** With the place that was remembered last. */
  begin(progress: GroupProgress | undefined, place: number): void;
  /** Batches of a may-skip group that may have been removed before this frame, and were not given to it. */
  missingBefore(frame: GroupFrame): Promise<number>;
  /** The last frame that was given; 0: none. */
  place(): number;
}

/**
 * Results that were removed leave nothing but their missing numbers, and those of other streams are missing
 * too: no more are gone than these. What lies between two frames of one gateway is its to tell of, and no
 * other's.
 */
export function createGapWatch(group: Group, stored: () => Promise<StoredNumbers>): GapWatch {
  let last = { seq: 0, delivery: 0 };
  let isDoubtful = true;
  return {
    begin: (progress, place) => {
      // Not the broker's own: where results are removed, it moves the group's place past them.
      last = { seq: place, delivery: progress?.deliveries ?? 0 };
    },
    place: () => last.seq,
    missingBefore: async (frame) => {
      const before = last;
      last = { seq: Math.max(before.seq, frame.seq), delivery: frame.delivery };
      const isNext = frame.delivery === before.delivery + 1 && frame.seq > before.seq + 1;
      const looks = group.maySkip && !frame.isRedelivered && isNext && isDoubtful;
      // Whoever has all that there is misses nothing of what comes next.
      isDoubtful = frame.pending > 0;
      if (!looks) return 0;
      const place =
        before.seq < group.startSeq
          ? ({ seq: group.startSeq - 1, index: "gap" } as const)
          : ({ seq: before.seq, index: "end" } as const);
      return missingBatches(place, frame.seq, await stored());
    },
  };
}
