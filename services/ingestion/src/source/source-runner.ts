import { CodedError } from "@millrace/errors";
import type { StreamRegistry } from "@millrace/messaging";
import type { Source } from "@millrace/proto/source";
import { type Stream, StreamState } from "@millrace/proto/stream";
import type { Component, Runtime } from "@millrace/runtime";
import { createBlockPool } from "../file/block-pool.js";
import {
  createFileSource,
  defaultTuning,
  type FileSource,
  type FileSourceStatus,
} from "../file/file-source.js";
import type { Frame, Rejection } from "../file/line-framer.js";
import type { IngestionConfig } from "../config.js";
import type { LineOrigin } from "./line-batch.js";

export interface SourceRunner extends Component {
  /** Every source that is known, with what it does now; paused ones without status. */
  statuses(): {
    tenant: string;
    source: Source;
    status: FileSourceStatus | undefined;
    error: string | undefined;
  }[];
}

export interface SourceRunnerOptions {
  registry: StreamRegistry;
  runtime: Runtime;
  files: IngestionConfig["files"];
  lastPosition(of: { tenant: string; stream: string; source: string }): Promise<number>;
  append(frame: Frame, origin: LineOrigin): Promise<void>;
  reject(rejection: Rejection, origin: LineOrigin): Promise<void>;
}

interface Running {
  tenant: string;
  source: Source;
  reader: FileSource | undefined;
  error: string | undefined;
}

/** What all sources have on their way to buffer, a small block per source aside. */
const bytesInFlightMax = 80 * 1024 * 1024;

/** Starts and stops readers as streams and sources come, change, pause and go. */
export function createSourceRunner(options: SourceRunnerOptions): SourceRunner {
  const { registry, runtime } = options;
  const pool = createBlockPool({
    headBytes: defaultTuning.frames.messageBytesMax,
    readBytes: options.files.frameBytesMax,
    smallReadBytes: defaultTuning.frames.bodyBytesMax,
    bytesMax: bytesInFlightMax,
  });
  const running = new Map<string, Running>();
  let changing: Promise<void> = Promise.resolve();

  const open = (tenant: string, source: Source, stream: Stream): FileSource | undefined => {
    if (source.kind?.$case !== "file") return undefined;
    const { path, pattern, pollInterval, repeat } = source.kind.value;
    const origin = { tenant, stream, source };
    return createFileSource({
      tenant,
      // A stream that was deleted and made again is another one: its ids must not meet the old ones.
      stream: `${stream.name}/${stream.createdMs}`,
      path,
      pattern,
      // Sources of before had none.
      repeat: Math.max(1, repeat),
      pollIntervalMs: (pollInterval?.seconds ?? 1) * 1000 + (pollInterval?.nanos ?? 0) / 1e6,
      roots: options.files.roots,
      now: runtime.clock.monotonic,
      sleep: runtime.clock.sleep,
      random: runtime.random,
      lastPosition: (key) => options.lastPosition({ tenant, stream: stream.name, source: key }),
      append: (frame, file) => options.append(frame, { ...origin, file }),
      reject: (rejection, file) => options.reject(rejection, { ...origin, file }),
      pool,
      tuning: {
        filesInFlightMax: options.files.filesInFlightMax,
        // Several on their way could overtake each other.
        appendsInFlightMax: stream.ordered ? 1 : options.files.appendsInFlightMax,
        settleMs: options.files.settleMs,
        hardLinksAllowed: options.files.hardLinksAllowed,
        frames: {
          ...defaultTuning.frames,
          bodyBytesMax: options.files.frameBytesMax,
          countMax: stream.batchSize,
        },
      },
    });
  };

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
    if (stream.state === StreamState.STREAM_STATE_PAUSED) return;
    try {
      entry.reader = open(tenant, source, stream);
      entry.reader?.start();
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
