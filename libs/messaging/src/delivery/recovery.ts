import { CodedError } from "@millrace/errors";
import type { Runtime } from "@millrace/runtime";
import type { Placed } from "./batch-publisher.js";
import { isSureRefusal } from "./refusals.js";

/**
 * Puts on the bus what an earlier life made durable and may not have published: under the old ids, so the
 * broker tells a repeat, and answers with the number of the message that it has. Nobody waits for it but who
 * asks to: a stream that is full keeps no service from its start.
 */
export interface Recovery {
  begin(): void;
  /** Resolves when each is on the bus or is nobody's any more; also when it is given up by a stop. */
  untilOver(): Promise<void>;
  /** Gives up what waits, for the next life to find. */
  stop(): Promise<void>;
}

export interface RecoveryOptions {
  recovered: readonly Placed[];
  send(placed: Placed): Promise<unknown>;
  /** Nobody waits for the batch any more. */
  forget(id: string): Promise<void>;
  runtime: Runtime;
}

/** One at a time, 16,000 recovered batches would take minutes of synced publishes. */
const inFlightMax = 32;
const retryMs = 1_000;

export function createRecovery({ recovered, send, forget, runtime }: RecoveryOptions): Recovery {
  const { log, clock, metrics } = runtime;
  const waiting = metrics.gauge(
    "millrace_recovered_batches",
    "Durable in an earlier life, and not on the bus yet.",
    ["destination"],
  );
  const stopping = new AbortController();
  let finish = (): void => undefined;
  const over = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let running: Promise<void> | undefined;

  const sendUntilStored = async (placed: Placed): Promise<void> => {
    for (let tries = 1; !stopping.signal.aborted; tries++) {
      try {
        await send(placed);
        return;
      } catch (caught) {
        const { code } = CodedError.from(caught);
        // Its stream was deleted meanwhile, or is not exempt any more and its source sends it again.
        if (code === "not_found" || code === "failed_precondition") return await forget(placed.id);
        if (isSureRefusal(code) && code !== "resource_exhausted") {
          // Kept where it is, for somebody to look at; the others go on.
          log.error("recovered batch refused", { id: placed.id, error: String(caught) });
          return;
        }
        if (tries === 1)
          log.warn("recovered batch not published, trying again", { id: placed.id, error: String(caught) });
        await clock.sleep(retryMs, stopping.signal);
      }
    }
  };
  const recover = async (destination: string, batches: readonly Placed[]): Promise<void> => {
    waiting.set({ destination }, batches.length);
    for (let at = 0; at < batches.length; at += inFlightMax) {
      const sending = batches.slice(at, at + inFlightMax).map(async (placed) => {
        await sendUntilStored(placed).catch((caught: unknown) =>
          log.error("body of a recovered batch is not freed", { id: placed.id, error: String(caught) }),
        );
        waiting.dec({ destination });
      });
      await Promise.all(sending);
    }
  };
  return {
    begin: () => {
      const ends = [...byDestination(recovered)].map(([to, batches]) => recover(to, batches));
      running = Promise.all(ends).then(() => {
        if (ends.length > 0 && !stopping.signal.aborted)
          log.info("published recovered batches", { batches: recovered.length });
        finish();
      });
    },
    untilOver: () => over,
    stop: async () => {
      stopping.abort();
      await running;
      finish();
    },
  };
}

/** By the first word of their subjects: one that is full holds up no other. */
function byDestination(batches: readonly Placed[]): Map<string, Placed[]> {
  const found = new Map<string, Placed[]>();
  for (const placed of batches) {
    const destination = placed.subject.split(".", 1)[0] ?? "";
    const others = found.get(destination) ?? [];
    others.push(placed);
    found.set(destination, others);
  }
  return found;
}
