import { noAnnotations, type OpenBatch } from "@millrace/envelope";
import { type Framing, Kind, Lane } from "@millrace/proto/batch";
import { ProcessingMode, type Stream } from "@millrace/proto/stream";
import type { SourceFile } from "../file-source.js";

/** What lines of a file belong to. */
export interface LineOrigin {
  tenant: string;
  stream: Stream;
  /** What the messages are attributed to; empty: the file's name. */
  sourceId: string;
  file: SourceFile;
}

export interface LineBody {
  body: Uint8Array;
  lengths: Uint32Array;
  positionDeltas: Uint32Array;
  positionFrom: number;
  positionTo: number;
  framing: Framing;
  /** Text unless it says otherwise. */
  kind?: Kind | undefined;
}

/** Lines as a batch for buffer, which fills in id, partition and accept time. */
export function lineBatch(origin: LineOrigin, lines: LineBody, nowMs: number): OpenBatch {
  const { stream, file } = origin;
  const realTime = stream.processingMode === ProcessingMode.PROCESSING_MODE_REAL_TIME;
  return {
    header: {
      id: new Uint8Array(16),
      tenant: origin.tenant,
      stream: stream.name,
      lane: realTime ? Lane.LANE_HIGH : Lane.LANE_BATCH,
      partition: "",
      source: file.key,
      positionFrom: lines.positionFrom,
      positionTo: lines.positionTo,
      schemaVersion: 1,
      count: lines.lengths.length,
      framing: lines.framing,
      bodyBytes: lines.body.length,
      acceptedUs: 0,
      streamCreatedMs: stream.createdMs,
    },
    columns: {
      lengths: lines.lengths,
      positionDeltas: lines.positionDeltas,
      eventTimeBaseMs: Math.round(nowMs),
      eventTimeDeltasMs: [],
      kind: lines.kind ?? Kind.KIND_TEXT,
      kinds: [],
      sourceIds: [origin.sourceId || stem(file.name)],
      sourceIdIndexes: [],
      ids: new Uint8Array(),
      attributes: [],
      rowsWithoutEmbedding: [],
      imageRows: [],
      imageWishes: [],
    },
    body: lines.body,
    annotations: noAnnotations,
    passport: [],
  };
}

/** Of files of data; none of them is a top-level domain, so no e-mail address or host ends in one. */
const extensions = /\.(jsonl|ndjson|json|txt|log|csv|tsv|gz|zst|bz2|xz)$/i;

/**
 * A file's name without directories and extensions: what its messages are attributed to by default. Only
 * known extensions go: of `anna@example.com.jsonl` the whole address must stay, or privacy would not know the
 * rest for personal data.
 */
export function stem(name: string): string {
  let base = name.slice(name.lastIndexOf("/") + 1);
  while (base.search(extensions) > 0) base = base.replace(extensions, "");
  return base;
}
