import type { Batch } from "@millrace/proto/batch";
import { createEpochs, type Epochs } from "./epochs.js";
import { createPendingBudget, type PendingBudget } from "./pending-budget.js";
import { createPublisher, type Publisher } from "./publisher.js";
import { createPushSource } from "./push-source.js";

export interface PublishingOptions {
  limits: { pendingBytesMax: number; rememberedKeysMax: number };
  /** Unlike that of any other process that ever was. */
  epoch: string;
  append(batch: Batch, traces: readonly unknown[]): Promise<string>;
  now(): number;
  monotonic(): number;
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  backoffMs(attempt: number): number;
}

/** All ways to publish, with the bound that they share. Stops when what was taken is settled, or given up. */
export interface Publishing {
  name: string;
  publisher: Publisher;
  epochs: Epochs;
  budget: PendingBudget;
  stop(hard: AbortSignal): Promise<void>;
}

export function createPublishing(options: PublishingOptions): Publishing {
  const { append, now, sleep, limits } = options;
  const budget = createPendingBudget(limits.pendingBytesMax);
  const ending = new AbortController();
  const shared = {
    budget,
    append,
    sleep,
    monotonic: options.monotonic,
    backoffMs: options.backoffMs,
    signal: ending.signal,
  };
  const { rememberedKeysMax } = limits;
  return {
    name: "publishing",
    budget,
    publisher: createPublisher({ ...shared, epoch: options.epoch, now, rememberedKeysMax }),
    epochs: createEpochs({
      createSource: (of) => createPushSource({ ...shared, of, whenFull: "wait" }),
      sleep,
    }),
    stop: async (hard) => {
      if (hard.aborted) ending.abort();
      hard.addEventListener("abort", () => ending.abort(), { once: true });
      while (budget.bytes() > 0) await budget.change(AbortSignal.timeout(250));
    },
  };
}
