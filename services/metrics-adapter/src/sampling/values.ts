import type { Query } from "../api/metric-query.js";
import { type SearchTimes, sumByLabel, sumGauge } from "../scrape/pod-metrics.js";
import type { LedgerSamples } from "./ledger-samples.js";
import type { Sampler } from "./sampler.js";
import type { SourceSamples } from "./source-samples.js";
import type { StageSamples } from "./stage-samples.js";

type Scraped = "gateway" | "search" | "buffer";

export interface ValuesParts {
  samplers: Readonly<Record<Scraped | "stages" | "ledger" | "sources", Pick<Sampler, "ask">>>;
  stageSamples: Pick<StageSamples, "read">;
  ledgerSamples: Pick<LedgerSamples, "messages" | "bytes">;
  sourceSamples: Pick<SourceSamples, "read">;
  searchTimes: Pick<SearchTimes, "p99Ms">;
  /** The last metrics of each pod. */
  pods: Readonly<Record<Scraped, ReadonlyMap<string, string>>>;
}

const liveBytes = "millrace_stream_live_bytes";

/** The value of each query, from the samples that it needs. Errors: `unavailable`. */
export function createValues(parts: ValuesParts): (query: Query) => Promise<number> {
  const { samplers, stageSamples, ledgerSamples, pods } = parts;
  const ofLedger = async (query: Extract<Query, { of: "ledger" }>): Promise<number> => {
    await Promise.all([samplers.stages.ask(), samplers.ledger.ask()]);
    // What the consumers have settled waits for nobody, whatever was written down of it.
    if (stageSamples.read(query.stage, undefined).lagBatches === 0) return 0;
    if (query.metric === "lag_messages") return ledgerSamples.messages(query.stage);
    await samplers.buffer.ask();
    return ledgerSamples.bytes(query.stage, sumByLabel(pods.buffer, liveBytes, "stream"));
  };
  return async (query) => {
    switch (query.of) {
      case "stage": {
        await samplers.stages.ask();
        const lag = stageSamples.read(query.stage, query.lane);
        if (query.metric === "lag_batches") return lag.lagBatches;
        return query.metric === "lag_seconds" ? lag.lagSeconds : lag.oldestAgeSeconds;
      }
      case "ledger":
        return ofLedger(query);
      case "buffer": {
        await samplers.buffer.ask();
        return [...sumByLabel(pods.buffer, liveBytes, "stream").values()].reduce((sum, of) => sum + of, 0);
      }
      case "sources":
        await samplers.sources.ask();
        return parts.sourceSamples.read(query.metric);
      case "open_streams":
        await samplers.gateway.ask();
        return sumGauge(pods.gateway, "millrace_open_streams");
      case "search_p99_ms":
        await samplers.search.ask();
        return parts.searchTimes.p99Ms();
    }
  };
}
