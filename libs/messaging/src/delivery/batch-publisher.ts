import { type Code, CodedError } from "@millrace/errors";
import type { OpenBatch } from "@millrace/envelope";
import type { Component, Runtime } from "@millrace/runtime";
import type { StoredTracker } from "../state/stored-tracker.js";
import type { Published, Publisher } from "./publisher.js";

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
  place(open: OpenBatch, subject: string, verify?: () => void | Promise<void>): Promise<Placed>;
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
  publish(open: OpenBatch, subject: string, verify?: () => void | Promise<void>): Promise<Published>;
}

/**
 * Codes that say for sure that nothing was stored. After any other one a message may refer to the body:
 * freed, it would be read as damaged.
 */
const refusals: ReadonlySet<Code> = new Set<Code>([
  "resource_exhausted",
  "not_found",
  "invalid_argument",
  "failed_precondition",
  "permission_denied",
  "data_loss",
]);

export const isSureRefusal = (code: Code): boolean => refusals.has(code);

const keepMs = 1_000;

/** One at a time, 16,000 recovered batches would take minutes of synced publishes. */
const recoveriesInFlightMax = 32;

/**
 * On start it publishes what the last life of the service made durable but may not have published: under the
 * old ids, so the broker tells a repeat, and answers with the number of the message that it has.
 */
export function createBatchPublisher(
  publisher: Publisher,
  tracker: StoredTracker,
  bodies: Bodies,
  runtime: Runtime,
): BatchPublisher {
  let stopped = false;
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
  const sendUntilStored = async (placed: Placed): Promise<void> => {
    while (!stopped) {
      try {
        await send(placed);
        return;
      } catch (caught) {
        const { code } = CodedError.from(caught);
        // Its stream was deleted meanwhile, or is not exempt any more and its source sends it again: nobody
        // waits for it.
        if (code === "not_found" || code === "failed_precondition") {
          referenced.delete(placed.id);
          return await bodies.release(placed.id);
        }
        if (refusals.has(code) && code !== "resource_exhausted") {
          // Kept where it is, for somebody to look at; the others go on.
          runtime.log.error("recovered batch refused", { id: placed.id, error: String(caught) });
          return;
        }
        runtime.log.warn("recovered batch not published, trying again", { error: String(caught) });
        await runtime.clock.sleep(1_000);
      }
    }
  };
  const recover = async (): Promise<void> => {
    for (let at = 0; at < bodies.recovered.length; at += recoveriesInFlightMax) {
      await Promise.all(bodies.recovered.slice(at, at + recoveriesInFlightMax).map(sendUntilStored));
    }
    if (bodies.recovered.length > 0)
      runtime.log.info("published recovered batches", { batches: bodies.recovered.length });
  };
  const stopping = new AbortController();
  const keepUp = async (): Promise<void> => {
    while (!stopped && bodies.keep !== undefined) {
      await bodies
        .keep()
        .catch((caught: unknown) => runtime.log.warn("bodies not kept up", { error: String(caught) }));
      await runtime.clock.sleep(keepMs, stopping.signal);
    }
  };
  let keeping: Promise<void> | undefined;
  return {
    name: "batch-publisher",
    start: async () => {
      await recover();
      keeping = keepUp();
    },
    stop: async () => {
      stopped = true;
      stopping.abort();
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
        refused = !isSent || refusals.has(CodedError.from(caught).code);
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
