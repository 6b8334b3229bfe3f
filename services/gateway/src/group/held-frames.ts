import { CodedError } from "@millrace/errors";
import type { PartlySettledStore } from "@millrace/messaging";
import type { HeldFrame } from "./held-frame.js";

type Entry = Awaited<ReturnType<PartlySettledStore["read"]>>;

export interface HeldFramesParts {
  partly: {
    read(seq: number): Promise<Entry>;
    write(seq: number, entry: NonNullable<Entry>): Promise<number>;
    remove(seq: number): Promise<void>;
  };
  /** Its rows are no member's of this gateway any more. */
  forget(held: HeldFrame): void;
  monotonic(): number;
  sleep(ms: number): Promise<void>;
  warn(what: string, error: unknown): void;
  /** How long the broker leaves a frame with whoever is silent. */
  ackWaitMs: number;
}

/** The frames that a gateway holds for a group, the oldest first, and how each of them leaves. */
export interface HeldFrames {
  all(): readonly HeldFrame[];
  add(held: HeldFrame): void;
  has(held: HeldFrame): boolean;
  /** All its rows are settled: it is acknowledged, and what is remembered of it removed. */
  finish(held: HeldFrame): Promise<void>;
  /** To come again after so long, here or elsewhere; what is settled of it is remembered first. */
  giveBack(held: HeldFrame, delayMs: number): Promise<void>;
  /** Remembers what is settled. */
  flush(): Promise<void>;
  /** Tells the broker that they are held, and drops those that another may have by now. */
  keep(): void;
}

export function createHeldFrames(parts: HeldFramesParts): HeldFrames {
  let frames: HeldFrame[] = [];
  const drop = (held: HeldFrame): void => {
    frames = frames.filter((other) => other !== held);
  };
  const lose = (held: HeldFrame): void => {
    held.isLost = true;
    drop(held);
    parts.forget(held);
  };
  const write = async (held: HeldFrame): Promise<void> => {
    held.isDirty = false;
    held.isWriting = true;
    try {
      const entry = { state: held.rows.state(), revision: held.revision };
      held.revision = await parts.partly.write(held.frame.seq, entry);
    } catch (caught) {
      held.isDirty = true;
      if (CodedError.from(caught).code === "aborted") lose(held);
      else parts.warn("what is settled of a group is not remembered, trying again", caught);
    } finally {
      held.isWriting = false;
    }
  };
  const untilWritten = async (held: HeldFrame): Promise<void> => {
    while (held.isWriting) await parts.sleep(5);
  };
  return {
    all: () => frames,
    add: (held) => {
      frames = [...frames, held].sort((one, other) => one.frame.seq - other.frame.seq);
    },
    has: (held) => frames.includes(held),
    finish: async (held) => {
      drop(held);
      await untilWritten(held);
      try {
        await held.frame.ack();
        if (held.revision > 0) await parts.partly.remove(held.frame.seq);
      } catch (caught) {
        // Should it come again, it is known that all of it is settled.
        parts.warn("settled results not acknowledged", caught);
        await write(held);
      }
    },
    giveBack: async (held, delayMs) => {
      drop(held);
      parts.forget(held);
      await untilWritten(held);
      if (held.isDirty) await write(held);
      if (!held.isLost) held.frame.nak(delayMs);
    },
    flush: async () => {
      await Promise.all(frames.filter(({ isDirty, isWriting }) => isDirty && !isWriting).map(write));
    },
    keep: () => {
      const now = parts.monotonic();
      for (const held of frames) {
        const silentMs = now - held.heldAt;
        if (silentMs > parts.ackWaitMs) lose(held);
        else if (silentMs > parts.ackWaitMs / 3) {
          held.frame.working();
          held.heldAt = now;
        }
      }
    },
  };
}
