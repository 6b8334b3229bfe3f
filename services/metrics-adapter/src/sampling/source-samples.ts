import { CodedError } from "@millrace/errors";
import { type Source, type SourceReport, SourceState } from "@millrace/proto/source";
import { type Stream, StreamState } from "@millrace/proto/stream";

export type SourceMetric = "source_lag_messages" | "source_lag_seconds";

export interface SourceSamples {
  take(): Promise<void>;
  /**
   * Messages of all sources that are not read yet, or the seconds that the one behind most is behind. Errors:
   * `unavailable` where one is not known; what has failed has none.
   */
  read(metric: SourceMetric): number;
}

export interface SourceSamplesOptions {
  /** Streams, and what each reads. */
  list(): { tenant: string; stream: Stream; sources: readonly Source[] }[];
  /** By `<tenant>.<stream>.<id>`. */
  readReports(): Promise<ReadonlyMap<string, SourceReport>>;
  isConnected(): boolean;
  monotonic(): number;
}

/** A peer that sends when it likes, and of which nobody knows what it has not sent. */
const lagless: readonly string[] = ["websocket"];
const staleMs = 15_000;

export function createSourceSamples(options: SourceSamplesOptions): SourceSamples {
  let taken: { atMs: number; reports: ReadonlyMap<string, SourceReport> } | undefined;

  /** Sources that are to be read now, and whose lag can be known. */
  const reading = (): { key: string; source: Source }[] =>
    options
      .list()
      .flatMap(({ tenant, stream, sources }) =>
        stream.state === StreamState.STREAM_STATE_PAUSED
          ? []
          : sources
              .filter(({ kind, paused }) => !paused && kind !== undefined && !lagless.includes(kind.$case))
              .map((source) => ({ key: `${tenant}.${stream.name}.${source.id}`, source })),
      );

  return {
    take: async () => {
      taken = { atMs: options.monotonic(), reports: await options.readReports() };
    },
    read: (metric) => {
      if (!options.isConnected()) throw unknown("the broker is away");
      if (taken === undefined || options.monotonic() - taken.atMs > staleMs)
        throw unknown("reports are not read");
      const { reports } = taken;
      const lags = reading().flatMap(({ key, source }) => {
        const report = reports.get(key);
        const lag = metric === "source_lag_messages" ? report?.lagMessages : report?.lagSeconds;
        if (lag !== undefined) return [lag];
        // More replicas would not cure it.
        if (report?.state === SourceState.SOURCE_STATE_FAILED) return [];
        throw unknown(`source ${source.id} of stream ${source.stream} does not tell it`);
      });
      if (metric === "source_lag_seconds") return Math.max(0, ...lags);
      return lags.reduce((sum, lag) => sum + lag, 0);
    },
  };
}

function unknown(why: string): CodedError {
  return new CodedError("unavailable", `lag of sources is unknown: ${why}`);
}
