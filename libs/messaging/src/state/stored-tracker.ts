import type { Component, Runtime } from "@millrace/runtime";
import type { Broker } from "../broker/broker.js";

/**
 * Tells when messages that this process published are no longer stored, message by message: what they refer
 * to can go then. An acknowledgement floor would not do, since messages leave out of order.
 */
export interface StoredTracker extends Component {
  track(jetStream: string, seq: number, onGone: () => void): void;
  /** Messages that are still stored. */
  size(): number;
}

/**
 * Often enough to recycle segments at full speed, seldom enough to cost nothing: 4 requests a second and
 * stream.
 */
const pollMs = 250;

export function createStoredTracker(broker: Broker, runtime: Runtime): StoredTracker {
  const tracked = new Map<string, Map<number, () => void>>();
  let closed = false;
  const poll = async (jetStream: string, waiting: Map<number, () => void>): Promise<void> => {
    if (waiting.size === 0) return;
    // What is tracked while the answer travels may be newer than the answer: it is judged next time.
    const asked = [...waiting.keys()];
    const { state } = await broker.manager.streams.info(jetStream, { deleted_details: true });
    const deleted = new Set(state.deleted ?? []);
    for (const seq of asked) {
      if (seq > state.last_seq || (seq >= state.first_seq && !deleted.has(seq))) continue;
      const onGone = waiting.get(seq);
      waiting.delete(seq);
      onGone?.();
    }
  };
  let polling: Promise<void> | undefined;
  const loop = async (): Promise<void> => {
    while (!closed) {
      await runtime.clock.sleep(pollMs);
      for (const [jetStream, waiting] of tracked) {
        await poll(jetStream, waiting).catch((caught: unknown) =>
          runtime.log.warn("stored messages not inspected, trying again", {
            jet_stream: jetStream,
            error: String(caught),
          }),
        );
      }
    }
  };
  return {
    name: "stored-tracker",
    start: async () => {
      polling = loop();
    },
    stop: async () => {
      closed = true;
      await polling;
    },
    track: (jetStream, seq, onGone) => {
      const waiting = tracked.get(jetStream) ?? new Map<number, () => void>();
      tracked.set(jetStream, waiting);
      waiting.set(seq, onGone);
    },
    size: () => [...tracked.values()].reduce((sum, waiting) => sum + waiting.size, 0),
  };
}
