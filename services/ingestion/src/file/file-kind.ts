import { limits } from "@millrace/envelope";
import { assert } from "@millrace/errors";
import { Framing } from "@millrace/proto/batch";
import type { Runtime } from "@millrace/runtime";
import type { IngestionConfig } from "../config.js";
import type { SourceContext, SourceKind, SourceReader } from "../source/source-reader.js";
import { createBlockPool } from "./block-pool.js";
import { createFileSource, defaultTuning } from "./file-source.js";
import { lineBatch } from "./lines/line-batch.js";
import { positionDeltas } from "./lines/line-framer.js";

/** What all sources have on their way to buffer, a small block per source aside. */
const bytesInFlightMax = 80 * 1024 * 1024;

/** Directories of line files. */
export function fileKind({ config, runtime }: { config: IngestionConfig; runtime: Runtime }): SourceKind {
  const files = filesOf(config);
  const pool = createBlockPool({
    headBytes: defaultTuning.frames.messageBytesMax,
    readBytes: files.frameBytesMax,
    smallReadBytes: defaultTuning.frames.bodyBytesMax,
    bytesMax: bytesInFlightMax,
  });

  const open = (context: SourceContext): SourceReader => {
    const { tenant, source, stream, append, reject, lastPosition } = context;
    assert(source.kind?.$case === "file", "a file source is opened as one");
    const { path, pattern, pollInterval, repeat } = source.kind.value;
    const origin = { tenant, stream, sourceId: source.kind.value.sourceId };
    return createFileSource({
      tenant,
      // A stream that was deleted and made again is another one: its ids must not meet the old ones.
      stream: `${stream.name}/${stream.createdMs}`,
      path,
      pattern,
      // Sources of before had none.
      repeat: Math.max(1, repeat),
      pollIntervalMs: (pollInterval?.seconds ?? 1) * 1000 + (pollInterval?.nanos ?? 0) / 1e6,
      roots: files.roots,
      now: runtime.clock.monotonic,
      sleep: runtime.clock.sleep,
      random: runtime.random,
      lastPosition,
      append: (frame, file) => {
        const lines = { ...frame, positionDeltas: positionDeltas(frame), framing: Framing.FRAMING_LINES };
        return append(lineBatch({ ...origin, file }, lines, runtime.clock.now()));
      },
      // A line above the size limit becomes a dead letter with what was kept of it.
      reject: ({ prefix, positionFrom, positionTo, truncatedBytes }, file) => {
        const lines = {
          body: prefix,
          lengths: Uint32Array.of(prefix.length),
          positionDeltas: Uint32Array.of(positionTo - positionFrom),
          positionFrom,
          positionTo,
          framing: Framing.FRAMING_PACKED,
        };
        return reject({
          batch: lineBatch({ ...origin, file }, lines, runtime.clock.now()),
          code: "invalid_argument",
          reason: "line above the size limit of a message",
          truncatedBytes,
        });
      },
      pool,
      tuning: {
        filesInFlightMax: files.filesInFlightMax,
        // Several on their way could overtake each other.
        appendsInFlightMax: stream.ordered ? 1 : files.appendsInFlightMax,
        settleMs: files.settleMs,
        hardLinksAllowed: files.hardLinksAllowed,
        frames: {
          ...defaultTuning.frames,
          bodyBytesMax: files.frameBytesMax,
          countMax: stream.batchSize,
        },
      },
    });
  };
  return { leased: true, open };
}

/** A body that travels to buffer over gRPC is one request. */
function filesOf({ files, segments }: IngestionConfig): IngestionConfig["files"] {
  const isWritten = segments.rawDir !== undefined && segments.cleanDir !== undefined;
  return isWritten ? files : { ...files, frameBytesMax: limits.batchBytesMax };
}
