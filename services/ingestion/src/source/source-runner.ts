import type { OpenBatch } from "@millrace/envelope";
import { CodedError } from "@millrace/errors";
import type { StreamRegistry } from "@millrace/messaging";
import type { Source } from "@millrace/proto/source";
import { type Stream, StreamState } from "@millrace/proto/stream";
import type { Component, Runtime } from "@millrace/runtime";
import type {
  Rejected,
  SourceContext,
  SourceKinds,
  SourceReader,
  SourceReaderStatus,
} from "./source-reader.js";

export interface SourceRunner extends Component {
  /** Every source that is known, with what it does now; paused ones without status. */
  statuses(): {
    tenant: string;
    source: Source;
    status: SourceReaderStatus | undefined;
    error: string | undefined;
  }[];
}

export interface SourceRunnerOptions {
  registry: StreamRegistry;
  runtime: Runtime;
  kinds: SourceKinds;
  lastPosition(of: { tenant: string; stream: string; source: string }): Promise<number>;
  append(batch: OpenBatch, stream: Stream): Promise<void>;
  reject(letter: Rejected): Promise<void>;
}

interface Running {
  tenant: string;
  source: Source;
  reader: SourceReader | undefined;
  error: string | undefined;
}

/** Starts and stops readers as streams and sources come, change, pause and go. */
export function createSourceRunner(options: SourceRunnerOptions): SourceRunner {
  const { registry, runtime, kinds } = options;
  const running = new Map<string, Running>();
  let changing: Promise<void> = Promise.resolve();

  const contextOf = (tenant: string, source: Source, stream: Stream): SourceContext => ({
    tenant,
    source,
    stream,
    lastPosition: (key) => options.lastPosition({ tenant, stream: stream.name, source: key }),
    append: (batch) => options.append(batch, stream),
    reject: options.reject,
  });

  const close = async (id: string): Promise<void> => {
    const entry = running.get(id);
    running.delete(id);
    await entry?.reader?.close();
  };

  const begin = async (tenant: string, source: Source): Promise<void> => {
    await close(source.id);
    const stream = await registry.find(tenant, source.stream);
    if (stream === undefined) return;
    const entry: Running = { tenant, source, reader: undefined, error: undefined };
    running.set(source.id, entry);
    if (source.paused || stream.state === StreamState.STREAM_STATE_PAUSED) return;
    // Of a kind that a later release brought.
    if (source.kind === undefined) return;
    try {
      entry.reader = kinds[source.kind.$case].open(contextOf(tenant, source, stream));
      entry.reader.start();
    } catch (caught) {
      entry.error = CodedError.from(caught, "start the source").toString();
      runtime.log.error("source could not be started", { source: source.id, error: entry.error });
    }
  };

  /** One change after the other: a source must be closed before it is opened anew. */
  const change = (work: () => Promise<void>): void => {
    changing = changing.then(work).catch((caught: unknown) => {
      runtime.log.error("source not changed", { error: String(caught) });
    });
  };

  registry.onSource(({ tenant, id, source }) => {
    change(() => (source === undefined ? close(id) : begin(tenant, source)));
  });
  registry.onStream(({ tenant, name, stream }) => {
    change(async () => {
      const sources = [...running.values()].filter(
        (entry) => entry.tenant === tenant && entry.source.stream === name,
      );
      for (const { source } of sources)
        await (stream === undefined ? close(source.id) : begin(tenant, source));
    });
  });

  return {
    name: "source-runner",
    stop: async () => {
      await changing;
      await Promise.all([...running.keys()].map(close));
    },
    statuses: () =>
      [...running.values()].map(({ tenant, source, reader, error }) => ({
        tenant,
        source,
        status: reader?.status(),
        error,
      })),
  };
}
