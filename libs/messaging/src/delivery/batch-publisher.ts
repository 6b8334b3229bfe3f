import { CodedError } from "@millrace/errors";
import type { SendableBatch } from "@millrace/envelope";
import type { Component, Runtime } from "@millrace/runtime";
import type { StoredTracker } from "../state/stored-tracker.js";
import type { Published, Publisher } from "./publisher.js";
import { createRecovery } from "./recovery.js";
import { isSureRefusal } from "./refusals.js";

/** A batch in its wire form, its body placed. */
export interface Placed {
  id: string;
  subject: string;
  bytes: Uint8Array;
  messageCount: number;
  /** Its body lies in a segment, for as long as the message is stored. */
  inSegment: boolean;
}

/** Where bodies lie that do not travel on the bus: libs/segments. */
export interface Bodies {
  /** `verify` throws where the body is not what was opened any more: it must not become durable then. */
  place(open: SendableBatch, subject: string, verify?: () => void | Promise<void>): Promise<Placed>;
  release(id: string): Promise<void>;
  recovered: readonly Placed[];
  /** To be called every second, where there is something to be kept up. */
  keep?(): Promise<void>;
  close(): Promise<void>;
}

export interface BatchPublisher extends Component {
  /**
   * Places the body, publishes, and keeps the body for as long as the broker stores the message. `verify`
   * runs before a copy of the body becomes durable and again before it is referred to: where it throws,
   * nothing is published.
   */
  publish(open: SendableBatch, subject: string, verify?: () => void | Promise<void>): Promise<Published>;
  /** Resolves when what the last life left is on the bus, or is nobody's any more; also at a stop. */
  untilRecovered(): Promise<void>;
  /** Bodies in segments to which messages refer, or may. */
  heldBodies(): number;
}

const keepMs = 1_000;

/**
 * From its start on it publishes what the last life of the service made durable but may not have published,
 * beside everything else.
 */
export function createBatchPublisher(
  publisher: Pick<Publisher, "publish">,
  tracker: StoredTracker,
  bodies: Bodies,
  runtime: Runtime,
): BatchPublisher {
  // Publishes under way, by id: a redelivery may come while the first one is still on its way.
  const sending = new Map<string, number>();
  // Ids that a stored message may refer to: those of earlier lives, and those that were published.
  const referenced = new Set(bodies.recovered.map(({ id }) => id));
  const send = async (placed: Placed): Promise<Published> => {
    const published = await publisher.publish({
      subject: placed.subject,
      data: placed.bytes,
      id: placed.id,
      messageCount: placed.messageCount,
    });
    // Nothing has to be kept for a body that travels in its message.
    if (!placed.inSegment || published.jetStream === "") return published;
    referenced.add(placed.id);
    tracker.track(published.jetStream, published.seq, () => {
      referenced.delete(placed.id);
      void bodies
        .release(placed.id)
        .catch((caught: unknown) => runtime.log.error("segment range not freed", { error: String(caught) }));
    });
    return published;
  };
  const recovery = createRecovery({
    recovered: bodies.recovered,
    send,
    forget: async (id) => {
      referenced.delete(id);
      await bodies.release(id);
    },
    runtime,
  });
  const stopping = new AbortController();
  const keepUp = async (): Promise<void> => {
    while (!stopping.signal.aborted && bodies.keep !== undefined) {
      await bodies
        .keep()
        .catch((caught: unknown) => runtime.log.warn("bodies not kept up", { error: String(caught) }));
      await runtime.clock.sleep(keepMs, stopping.signal);
    }
  };
  let keeping: Promise<void> | undefined;
  return {
    name: "batch-publisher",
    untilRecovered: recovery.untilOver,
    heldBodies: () => referenced.size,
    start: async () => {
      recovery.begin();
      keeping = keepUp();
    },
    stop: async () => {
      stopping.abort();
      await recovery.stop();
      await keeping;
      await bodies.close();
    },
    publish: async (open, subject, verify) => {
      const placed = await bodies.place(open, subject, verify);
      const { id } = placed;
      sending.set(id, (sending.get(id) ?? 0) + 1);
      let isSent = false;
      let refused = false;
      try {
        await verify?.();
        isSent = true;
        return await send(placed);
      } catch (caught) {
        refused = !isSent || isSureRefusal(CodedError.from(caught).code);
        // The broker may have it: what a later try learns must not free the body.
        if (!refused && placed.inSegment) referenced.add(id);
        throw caught;
      } finally {
        const others = (sending.get(id) ?? 1) - 1;
        if (others === 0) sending.delete(id);
        else sending.set(id, others);
        if (refused && others === 0 && !referenced.has(id)) await bodies.release(id);
      }
    },
  };
}
