import { Entry } from "@millrace/proto/ledger";
import type { Component, Runtime } from "@millrace/runtime";
import type { Broker } from "../broker/broker.js";
import { buckets } from "../broker/streams.js";
import type { LedgerKey } from "./ledger.js";

export interface LedgerWatch {
  /** Stages and sinks to hear of. */
  stages: readonly string[];
  /** Told first: an entry that nobody asks for is not even decoded. */
  isWanted(of: LedgerKey): boolean;
  /** All that the stage has settled of a source: what is stored at first, then each change. */
  onEntry(stage: string, of: LedgerKey, entry: Entry): void;
  /**
   * Told once all is told that was stored when the watch began, and again when it begins anew. Where `stages`
   * have nothing but others have, with the first entry of theirs.
   */
  onCurrent?(): void;
}

const againMs = 1_000;

/** Follows what stages write to the LEDGER, through disconnects; a watch that ends begins anew. */
export function watchLedger(broker: Broker, runtime: Runtime, watch: LedgerWatch): Component {
  const stopping = new AbortController();
  let close = (): void => undefined;

  const follow = async (): Promise<void> => {
    const bucket = await broker.kv.open(buckets.ledger, { allow_direct: true });
    // An empty bucket has no last entry by which to tell that there are no more.
    let isCurrent = (await bucket.status()).values === 0;
    if (isCurrent) watch.onCurrent?.();
    const entries = await bucket.watch({ key: watch.stages.map((stage) => `${stage}.>`) });
    close = () => entries.stop();
    if (stopping.signal.aborted) close();
    for await (const { key, operation, value, delta } of entries) {
      const [stage = "", tenant = "", stream = "", source = ""] = key.split(".");
      const of = { tenant, stream, source };
      if (operation === "PUT" && watch.isWanted(of)) watch.onEntry(stage, of, Entry.decode(value));
      if (isCurrent || (delta ?? 0) > 0) continue;
      isCurrent = true;
      watch.onCurrent?.();
    }
  };
  const loop = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await follow().catch((caught: unknown) =>
        runtime.log.warn("ledger not watched, trying again", { error: String(caught) }),
      );
      await runtime.clock.sleep(againMs, stopping.signal);
    }
  };
  let running: Promise<void> | undefined;
  return {
    name: "ledger-watch",
    start: async () => {
      running = loop();
    },
    stop: async () => {
      stopping.abort();
      close();
      await running;
    },
  };
}
