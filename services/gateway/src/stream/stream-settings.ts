import { CodedError } from "@millrace/errors";
import { findingTypes } from "@millrace/envelope";
import {
  type Enrichments,
  type Outputs,
  ProcessingMode,
  type Results,
  type Storage,
  StorageFormat,
  Stream,
  StreamState,
} from "@millrace/proto/stream";
import { type DurationOf, millisecondsOf } from "./wire-duration.js";
import { completeKafka } from "./kafka-settings.js";
import { checkStreamName } from "./stream-name.js";

const batchSizeDefault = 1_000;
const batchSizeMax = 8_192;
const workerThreadsMax = 256;
const mmapBytes = { default: 1_000_000_000, min: 64 * 1024 };
/** Whatever a stream holds, one batch of 12 MiB is let in; below 1 MiB nothing else would be. */
const bufferBytes = { default: 256 * 1024 ** 2, min: 1024 ** 2, max: 64 * 1024 ** 3 };
const parallelismMax = 256;
const textFieldCharsMax = 128;
const resultsDefault = { ageSeconds: 3_600, bytes: 256_000_000 };
/** One result message is 1 MiB at most: a smaller budget could hold none. */
const resultsBytesMin = 1024 * 1024;
const resultsAgeMaxMs = 30 * 24 * 3_600_000;
const rollDefault = { bytes: 64 * 1024 * 1024, ageSeconds: 10 };
const rollBytes = { min: 1024, max: 4 * 1024 * 1024 * 1024 };
const rollAgeMs = { min: 100, max: 24 * 3_600_000 };

/**
 * The settings with every default filled in, so that what a stream does can be read off it. State and
 * creation time are left for the caller. Errors: `invalid_argument` with the field as the request names it.
 */
export function completeSettings(given: Stream | undefined): Stream {
  if (given === undefined) throw invalid("stream", "is missing", "Give the stream's settings.");
  checkStreamName(given.name, "stream.name");
  const enrichments = completeEnrichments(given.enrichments);
  return {
    name: given.name,
    processingMode: completeMode(given.processingMode),
    batchSize: completeBatchSize(given.batchSize),
    privacy: {
      detectorsOff: completeDetectors(given.privacy?.detectorsOff ?? []),
      exempt: given.privacy?.exempt ?? false,
      faceDetection: given.privacy?.faceDetection ?? true,
    },
    enrichments,
    outputs: completeOutputs(given.outputs, enrichments),
    state: StreamState.STREAM_STATE_ACTIVE,
    createdMs: 0,
    workerThreads: completeWorkers(given.workerThreads),
    memoryMapping: given.memoryMapping ?? true,
    mmapBytes: completeMmapBytes(given.mmapBytes),
    zeroCopy: given.zeroCopy ?? true,
    bufferBytes: completeBuffer(given.bufferBytes),
    parallelism: completeParallelism(given.parallelism),
    ordered: given.ordered,
  };
}

/** Whether both streams do the same; state and creation time are no settings. */
export function isSameSettings(one: Stream, other: Stream): boolean {
  const settings = (stream: Stream): Uint8Array =>
    Stream.encode({
      ...stream,
      state: StreamState.STREAM_STATE_UNSPECIFIED,
      createdMs: 0,
      // Streams of before have none of these.
      memoryMapping: stream.memoryMapping ?? true,
      mmapBytes: completeMmapBytes(stream.mmapBytes),
      zeroCopy: stream.zeroCopy ?? true,
      bufferBytes: completeBuffer(stream.bufferBytes),
    }).finish();
  return Buffer.compare(settings(one), settings(other)) === 0;
}

function completeMode(mode: ProcessingMode): ProcessingMode {
  if (mode === ProcessingMode.PROCESSING_MODE_UNSPECIFIED) return ProcessingMode.PROCESSING_MODE_REAL_TIME;
  if (mode === ProcessingMode.PROCESSING_MODE_REAL_TIME) return mode;
  if (mode === ProcessingMode.PROCESSING_MODE_BATCH) return mode;
  const remedy = "Use PROCESSING_MODE_REAL_TIME or PROCESSING_MODE_BATCH.";
  throw invalid("stream.processing_mode", "is no known mode", remedy);
}

function completeBatchSize(size: number): number {
  if (size > batchSizeMax) {
    throw invalid(
      "stream.batch_size",
      `is ${size}`,
      `Use 1 to ${batchSizeMax}, or 0 for ${batchSizeDefault}.`,
    );
  }
  return size === 0 ? batchSizeDefault : size;
}

function completeWorkers(threads: number): number {
  if (threads <= workerThreadsMax) return threads;
  const remedy = `Use 1 to ${workerThreadsMax}, or 0 for the service's own number.`;
  throw invalid("stream.worker_threads", `is ${threads}`, remedy);
}

function completeMmapBytes(bytes: number): number {
  if (bytes === 0) return mmapBytes.default;
  if (bytes >= mmapBytes.min) return bytes;
  throw invalid("stream.mmap_bytes", `is ${bytes}`, `Use at least ${mmapBytes.min}, or 0 for 1 GB.`);
}

function completeBuffer(bytes: number): number {
  if (bytes === 0) return bufferBytes.default;
  if (bytes >= bufferBytes.min && bytes <= bufferBytes.max) return bytes;
  const remedy = `Use ${bufferBytes.min} to ${bufferBytes.max}, or 0 for 256 MiB.`;
  throw invalid("stream.buffer_bytes", `is ${bytes}`, remedy);
}

function completeParallelism(parallelism: number): number {
  if (parallelism > parallelismMax) {
    throw invalid(
      "stream.parallelism",
      `is ${parallelism}`,
      `Use 1 to ${parallelismMax}, or 0 for the stages' defaults.`,
    );
  }
  return parallelism;
}

function completeDetectors(names: readonly string[]): string[] {
  const known: ReadonlySet<string> = new Set(findingTypes);
  if (names.some((name) => !known.has(name))) {
    const remedy = `Known detectors: ${findingTypes.join(", ")}.`;
    throw invalid("stream.privacy.detectors_off", "names an unknown detector", remedy);
  }
  return [...new Set(names)].sort();
}

function completeEnrichments(given: Enrichments | undefined): Enrichments {
  const {
    embeddings = false,
    sentiment = false,
    textField = "",
    objects = false,
    scene = false,
  } = given ?? {};
  if (textField.length > textFieldCharsMax) {
    const remedy = `Name a field with at most ${textFieldCharsMax} characters.`;
    throw invalid("stream.enrichments.text_field", "is too long", remedy);
  }
  return { embeddings, sentiment, textField, objects, scene };
}

function completeOutputs(given: Outputs | undefined, enrichments: Enrichments): Outputs {
  const outputs: Outputs = {
    results: given?.results && completeResults(given.results),
    storage: given?.storage && completeStorage(given.storage),
    kafka: given?.kafka && completeKafka(given.kafka),
    artifacts: given?.artifacts ?? false,
    search: given?.search ?? false,
    events: given?.events ?? false,
    ...completeTelling(given),
  };
  const { results, storage, kafka, artifacts, search, events } = outputs;
  const isKept = results !== undefined || storage !== undefined || kafka !== undefined;
  if (!isKept && !artifacts && !search && !events) {
    const remedy = "Declare at least one of results, storage, kafka, artifacts, search and events.";
    throw invalid("stream.outputs", "declares no output", remedy);
  }
  if (outputs.search && !enrichments.embeddings) {
    throw invalid("stream.outputs.search", "needs embeddings", "Set enrichments.embeddings as well.");
  }
  return outputs;
}

/** What is told of contents as they pass: no output by itself. */
function completeTelling(given: Outputs | undefined): Pick<Outputs, "violations" | "similarityThreshold"> {
  const { violations = false, similarityThreshold, search = false } = given ?? {};
  if (similarityThreshold === undefined) return { violations };
  const field = "stream.outputs.similarity_threshold";
  if (!(similarityThreshold > 0 && similarityThreshold <= 1)) {
    throw invalid(field, `is ${similarityThreshold}`, "Use a cosine above 0, up to 1.");
  }
  if (!search) throw invalid(field, "needs search", "Set outputs.search as well.");
  return { violations, similarityThreshold };
}

function completeResults(given: Results): Results {
  const field = "stream.outputs.results";
  const age = given.age ?? { seconds: resultsDefault.ageSeconds, nanos: 0 };
  checkDuration(age, { field: `${field}.age`, min: 1_000, max: resultsAgeMaxMs });
  const bytes = given.bytes === 0 ? resultsDefault.bytes : given.bytes;
  if (bytes < resultsBytesMin) {
    throw invalid(`${field}.bytes`, `is ${bytes}`, `Use at least ${resultsBytesMin}, or 0 for 256 MB.`);
  }
  return { age, bytes };
}

const storageFormats: readonly StorageFormat[] = [
  StorageFormat.STORAGE_FORMAT_RECORDS,
  StorageFormat.STORAGE_FORMAT_LINES,
  StorageFormat.STORAGE_FORMAT_PARQUET,
];

function completeStorage(given: Storage): Storage {
  const field = "stream.outputs.storage";
  const isDefault = given.format === StorageFormat.STORAGE_FORMAT_UNSPECIFIED;
  const format = isDefault ? StorageFormat.STORAGE_FORMAT_RECORDS : given.format;
  if (!storageFormats.includes(format)) {
    const remedy = "Use STORAGE_FORMAT_RECORDS, STORAGE_FORMAT_LINES or STORAGE_FORMAT_PARQUET.";
    throw invalid(`${field}.format`, "is no known format", remedy);
  }
  const bytes = given.rollBytes === 0 ? rollDefault.bytes : given.rollBytes;
  if (bytes < rollBytes.min || bytes > rollBytes.max) {
    const remedy = `Use ${rollBytes.min} to ${rollBytes.max}, or 0 for 64 MiB.`;
    throw invalid(`${field}.roll_bytes`, `is ${bytes}`, remedy);
  }
  const age = given.rollAge ?? { seconds: rollDefault.ageSeconds, nanos: 0 };
  checkDuration(age, { field: `${field}.roll_age`, ...rollAgeMs });
  const { retainBytes } = given;
  if (retainBytes !== 0 && retainBytes < 2 * bytes) {
    const remedy = `Use twice roll_bytes (${2 * bytes}) or more, or 0 to keep every file.`;
    throw invalid(`${field}.retain_bytes`, `is ${retainBytes}`, remedy);
  }
  return { format, rollBytes: bytes, rollAge: age, retainBytes };
}

function checkDuration(duration: DurationOf, bounds: { field: string; min: number; max: number }): void {
  const milliseconds = millisecondsOf(duration);
  if (milliseconds >= bounds.min && milliseconds <= bounds.max) return;
  const remedy = `Use ${bounds.min} ms to ${bounds.max / 1000} s.`;
  throw invalid(bounds.field, `is ${milliseconds} ms`, remedy);
}

function invalid(field: string, problem: string, remedy: string): CodedError {
  return new CodedError("invalid_argument", `check stream settings: ${field} ${problem}`, { field, remedy });
}
