import type { EventDelivery, EventQueue } from "@millrace/messaging";
import type { Clock, Logger } from "@millrace/runtime";

/** Reads the events of one trigger until it is stopped. */
export interface TriggerWorker {
  /** Takes no more, and resolves when what is in hand has ended; `hard` ends that at once. */
  stop(hard?: AbortSignal): Promise<void>;
  /** Takes no more, until it is made anew. */
  disable(): void;
}

export interface WorkSignals {
  /** No try is to begin any more. */
  stopping: AbortSignal;
  /** Those under way are to end. */
  hard: AbortSignal;
}

export type HandleEvent = (delivery: EventDelivery, signals: WorkSignals) => Promise<void>;

export interface TriggerWorkerOptions {
  openQueue(): Promise<EventQueue>;
  handle: HandleEvent;
  clock: Pick<Clock, "sleep">;
  log: Logger;
}

/** Events in hand at a time; those of a failing target wait their turn here. */
const inHandMax = 8;
/** Well below the time after which the broker hands it out again. */
const workingMs = 3_000;
const againMs = 1_000;

export function startTriggerWorker(options: TriggerWorkerOptions): TriggerWorker {
  const { clock, log } = options;
  const stopping = new AbortController();
  const hard = new AbortController();
  const inHand = new Set<Promise<void>>();

  async function hold(delivery: EventDelivery): Promise<void> {
    const settled = new AbortController();
    const alive = (async () => {
      for (;;) {
        await clock.sleep(workingMs, settled.signal);
        if (settled.signal.aborted) return;
        delivery.working();
      }
    })();
    try {
      await options.handle(delivery, { stopping: stopping.signal, hard: hard.signal });
    } catch (caught) {
      // Not settled, so it comes again.
      log.warn("event of a trigger not settled", { error: String(caught) });
    }
    settled.abort();
    await alive;
  }

  async function read(queue: EventQueue): Promise<void> {
    while (!stopping.signal.aborted) {
      while (inHand.size >= inHandMax) await Promise.race(inHand);
      for await (const delivery of queue.take(inHandMax - inHand.size, stopping.signal)) {
        const held: Promise<void> = hold(delivery).finally(() => inHand.delete(held));
        inHand.add(held);
      }
    }
  }

  const running = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await read(await options.openQueue());
      } catch (caught) {
        log.warn("events of a trigger not read, trying again", { error: String(caught) });
      }
      await clock.sleep(againMs, stopping.signal);
    }
  })();

  return {
    disable: () => stopping.abort(),
    stop: async (at) => {
      stopping.abort();
      at?.addEventListener("abort", () => hard.abort(), { once: true });
      await running;
      await Promise.all(inHand);
    },
  };
}
