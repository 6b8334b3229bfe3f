import { limits } from "@millrace/envelope";
import { assert } from "@millrace/errors";
import { Framing } from "@millrace/proto/batch";
import { type FileSource, FileFormat as SourceFormat } from "@millrace/proto/source";
import type { Runtime } from "@millrace/runtime";
import type { IngestionConfig } from "../config.js";
import type { SourceContext, SourceKind, SourceReader } from "../source/source-reader.js";
import { createBlockPool } from "./block-pool.js";
import type { FileFormat } from "./content/open-content.js";
import { createFileSource, defaultTuning } from "./file-source.js";
import { lineBatch } from "./lines/line-batch.js";
import { wholeBytesMax } from "./content/whole-framer.js";
import { watchDirectory } from "./watch-directory.js";
import { positionDeltas } from "./lines/line-framer.js";

/** What all sources have on their way to buffer, a small block per source aside. */
const bytesInFlightMax = 80 * 1024 * 1024;
/** Files that are one message, besides. */
const wholeFilesInFlightMax = 4;

/** Directories of line files. */
export function fileKind({ config, runtime }: { config: IngestionConfig; runtime: Runtime }): SourceKind {
  const files = filesOf(config);
  const pool = createBlockPool({
    headBytes: defaultTuning.frames.messageBytesMax,
    readBytes: files.frameBytesMax,
    smallReadBytes: defaultTuning.frames.bodyBytesMax,
    bytesMax: bytesInFlightMax,
  });
  // Pieces of a file are put together in the head: of what is not touched there, the system keeps no page.
  const wholePool = createBlockPool({
    headBytes: wholeBytesMax,
    readBytes: wholeBytesMax,
    smallReadBytes: defaultTuning.frames.bodyBytesMax,
    bytesMax: wholeFilesInFlightMax * (2 * wholeBytesMax + 1),
  });

  const open = (context: SourceContext): SourceReader => {
    const { tenant, source, stream, append, reject, lastPosition } = context;
    assert(source.kind?.$case === "file", "a file source is opened as one");
    const { path, pattern, pollInterval, repeat } = source.kind.value;
    const format = formatOf(source.kind.value);
    const origin = { tenant, stream, sourceId: source.kind.value.sourceId };
    return createFileSource({
      tenant,
      // A stream that was deleted and made again is another one: its ids must not meet the old ones.
      // Nor those of the same file read in another way.
      stream: [`${stream.name}/${stream.createdMs}`, ...formatParts(format)].join("/"),
      format,
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
      watch: watchDirectory,
      append: (frame, file) => {
        const framing = frame.packed === undefined ? Framing.FRAMING_LINES : Framing.FRAMING_PACKED;
        const lines = { ...frame, positionDeltas: positionDeltas(frame), framing, kind: frame.packed?.kind };
        return append(lineBatch({ ...origin, file }, lines, runtime.clock.now()));
      },
      // What can't be a message becomes a dead letter with what was kept of it.
      reject: ({ reason, prefix, positionFrom, positionTo, truncatedBytes }, file) => {
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
          reason,
          truncatedBytes,
        });
      },
      pool: format.kind === "whole" ? wholePool : pool,
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

function formatOf({ format, delimiter }: FileSource): FileFormat {
  switch (format) {
    case SourceFormat.FILE_FORMAT_CSV:
      return { kind: "csv", delimiter: delimiter.charCodeAt(0) };
    case SourceFormat.FILE_FORMAT_WHOLE:
      return { kind: "whole" };
    default:
      return { kind: "lines" };
  }
}

function formatParts(format: FileFormat): string[] {
  if (format.kind === "lines") return [];
  return format.kind === "csv" ? ["csv", String(format.delimiter)] : [format.kind];
}
