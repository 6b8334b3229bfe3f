import type { Clock } from "@millrace/runtime";
import type { ConsumerMessages } from "@nats-io/jetstream";
import type { Subscription } from "@nats-io/transport-node";

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
