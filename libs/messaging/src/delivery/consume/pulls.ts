import type { Clock } from "@millrace/runtime";
import type { ConsumerMessages, JsMsg } from "@nats-io/jetstream";
import type { Subscription } from "@nats-io/transport-node";
import type { Hand } from "./hand/hand.js";

/** What a consumer has asked the broker for, and the one way in which all of it ends. */
export interface Pulls {
  /**
   * Hands on what comes of a pull, until that is over. Where the stop came before, it did not know of this
   * pull: nothing is asked for then, since that happens at the first look.
   */
  read(pull: ConsumerMessages, take: (message: JsMsg) => unknown): Promise<void>;
  /** No more is to be asked for. */
  isOver(): boolean;
  /**
   * Ends the asking, then the hand: what arrives until then is worked on, since given back, the broker would
   * hand it out a second time.
   */
  stop(hard: AbortSignal): Promise<void>;
}

export function createPulls(hand: Hand, clock: Pick<Clock, "sleep">): Pulls {
  const open = new Set<ConsumerMessages>();
  let over = false;
  return {
    isOver: () => over,
    read: async (pull, take) => {
      if (over) return pull.stop();
      open.add(pull);
      try {
        for await (const message of pull) {
          await (hand.isStopped() ? hand.giveBack(message) : take(message));
        }
      } finally {
        pull.stop();
        open.delete(pull);
      }
    },
    stop: async (hard) => {
      over = true;
      await Promise.all([...open].map((pull) => endPull(pull, clock)));
      await hand.stop(hard);
    },
  };
}

/** A round trip to the broker; one that is away answers none, and has nothing on its way either. */
const roundTripMsMax = 1_000;

/**
 * Asks for no more, and resolves when nothing can arrive any more: what the broker had sent by then is still
 * handed out. `stop` of the client throws that away, so that it comes again only when its ack is overdue.
 */
export async function endPull(pull: ConsumerMessages, clock: Pick<Clock, "sleep">): Promise<void> {
  // The client keeps it to itself: it subscribes when it is made.
  const { sub } = pull as ConsumerMessages & { sub?: Subscription };
  const over = new AbortController();
  const drained = sub?.drain().catch(() => undefined) ?? Promise.resolve();
  await Promise.race([drained, clock.sleep(roundTripMsMax, over.signal)]);
  over.abort();
  pull.stop();
  // Whoever reads it takes what arrived at the last moment.
  await clock.sleep(0);
}
