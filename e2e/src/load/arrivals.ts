import type { StreamProcessor } from "@millrace/sdk";

export interface Arrivals {
  /** When each id came first, by `performance.now`. */
  readonly firstMs: ReadonlyMap<string, number>;
  readonly gaps: number;
  stop(): Promise<void>;
}

/** Follows a stream's results from its begin. */
export function followArrivals(processor: StreamProcessor): Arrivals {
  const firstMs = new Map<string, number>();
  const abort = new AbortController();
  let gaps = 0;
  const running = (async () => {
    const options = { from: "earliest" as const, signal: abort.signal, onGap: () => void (gaps += 1) };
    for await (const message of processor.subscribe(options)) {
      if (message.kind !== "text") continue;
      const id = message.text.slice(0, idChars);
      if (!firstMs.has(id)) firstMs.set(id, performance.now());
    }
  })();
  return {
    firstMs,
    get gaps() {
      return gaps;
    },
    async stop() {
      abort.abort();
      await running;
    },
  };
}

const idChars = 6;
