import {
  ProcessingMode,
  type Storage as WireStorage,
  type Stream,
  StreamState,
} from "@millrace/proto/stream";
import { type StorageFormatName, storageFormatNames, storageFormats } from "./outputs/storage-format.js";
import { checkMmapOptions } from "../large-file/mapped-file.js";
import { type GroupOptions, toGroupSettings } from "../consume/group-settings.js";
import type { OnError } from "../receive/runner.js";
import { invalidArgument } from "../rpc/millrace-error.js";
import { checkBoolean, checkCount, checkKeys, checkOneOf, checkTexts } from "../units/checks.js";
import { type Duration, parseDuration, toWireDuration } from "../units/duration.js";
import { type KafkaOutput, toKafka } from "./outputs/kafka-output.js";
import { parseSize, type Size } from "../units/size.js";

/** What a stream is and does. What is not named has the default that stands beside it. */
export interface StreamOptions {
  /** `real_time`: batches close after 2 ms at the latest; `batch`: after 50 ms. Default `real_time`. */
  processingMode?: "real_time" | "batch";
  /** Messages a batch at most, 1 to 8192. Default 1000. */
  batchSize?: number;
  /**
   * Keeps the order of each source up to every output: one batch of a source is under way at a time, which
   * costs throughput where sources are few. Fixed once the stream is there. Default false.
   */
  ordered?: boolean;
  /**
   * False: bulk bytes come by plain reads rather than through read-only maps, in the stages and in `mmapFile`
   * of this process. Default true, where files can be mapped; `status()` says what is done, and why.
   */
  memoryMapping?: boolean;
  /** Bytes mapped at once at most, by a stage for this stream, and by each `mmapFile`. Default `"1GB"`. */
  mmapSize?: Size;
  /** False: mapped bytes are copied before they are worked on or handed over. Default true. */
  zeroCopy?: boolean;
  /**
   * Threads of privacy, beside its event loop, that scan, redact and sum this stream's bodies of more than
   * 64 KiB, 1 to 256: for more than one core's worth of a stream. Default: the server's.
   */
  workerThreads?: number;
  /**
   * What the stream may hold from accept until every output has it, such as `"128MB"`; full, publishes are
   * refused or wait, and sources pause. 1 MiB to 64 GiB. Default 256 MiB.
   */
  bufferSize?: Size;
  privacy?: {
    /** Detectors to switch off, such as `["IP"]`. Default: all are on. */
    detectorsOff?: readonly string[];
    /**
     * Nothing of the stream is looked at or changed by the filter. Takes the privacy role, and is told as a
     * `privacy_exempted` event. Default false.
     */
    exempt?: boolean;
    /**
     * Faces in images are always blurred. True: findings of type FACE say where; false: nothing of them is
     * kept or told, not even their number. Default true.
     */
    faceDetection?: boolean;
  };
  enrichments?: {
    /** Default true, unless search is off. */
    embeddings?: boolean;
    /** Default true. */
    sentiment?: boolean;
    /** Where messages are JSON objects, the field that holds their text. Default: the whole message. */
    textField?: string;
    /** Finds things in images, where their sender does not say otherwise. Default false. */
    objects?: boolean;
    /** Says what images show as a whole, where their sender does not say otherwise. Default false. */
    scene?: boolean;
  };
  outputs?: {
    /** What subscribers and handlers read. Default true: kept for 1 h, 256 MB at most. */
    results?: boolean | { age?: Duration; bytes?: Size };
    /** Files of redacted messages. Default false. */
    storage?:
      | boolean
      | {
          /**
           * "parquet": the fields of "records" as columns, in a folder `date=YYYY-MM-DD` a day; a longer
           * rollAge makes fewer and larger files. Default "records".
           */
          format?: StorageFormatName;
          rollBytes?: Size;
          rollAge?: Duration;
          /**
           * Published files beyond this size are taken back, the oldest first, and their blocks written anew,
           * which a disk does several times as fast. At least twice `rollBytes`. Default: all files stay.
           */
          retainBytes?: Size;
        };
    /** A Kafka topic that gets each redacted message. Default: none. */
    kafka?: KafkaOutput;
    /** Contents with their analyses, by source id. Default true. */
    artifacts?: boolean;
    /** Default true, unless embeddings are off. */
    search?: boolean;
    /** `new_data`. Default true. */
    events?: boolean;
    /** `privacy_violation`. Default: as `events`. */
    violations?: boolean;
    /**
     * `similarity_threshold` for each content whose nearest stored one of this stream is at least so near by
     * cosine, above 0 to 1. Needs search. Default: none.
     */
    similarityThreshold?: number;
  };
}

/** How this process works with a stream. */
export interface ProcessorOptions {
  /**
   * Handler calls under way at a time, 1 to 1024, all handlers together, default 4; of a stream that is made,
   * the batches that each stage has in hand at a time as well, 256 at most, default the stage's own.
   */
  parallelism?: number;
  /** False: one handler call at a time, whatever `parallelism` says. Default true. */
  asyncProcessing?: boolean;
  /** Told when a handler throws. Default: the client's logger. */
  onError?: OnError;
  /**
   * The group that the handlers of messages work in. Processes of one application name the same one, or
   * none, and share the work; another application names one of its own.
   */
  group?: string | GroupOptions;
}

export interface CreateOptions extends StreamOptions, ProcessorOptions {
  /** Where the stream exists with other settings, replaces them; default false, which refuses. */
  update?: boolean;
}

/** The server's bounds: checked here too, so that the error names the option as it is written. */
const bufferSizeBytes = { min: 2 ** 20, max: 64 * 2 ** 30 };

const settingKeys = [
  "processingMode",
  "batchSize",
  "ordered",
  "bufferSize",
  "memoryMapping",
  "mmapSize",
  "zeroCopy",
  "workerThreads",
  "privacy",
  "enrichments",
  "outputs",
] as const;
const processorKeys = ["parallelism", "asyncProcessing", "onError", "group"] as const;

/** Of a stage; handlers may be more. */
const stageParallelismMax = 256;

/** Whether the caller says what the stream should be, rather than taking it as it is. */
export function namesSettings(options: CreateOptions): boolean {
  return settingKeys.some((key) => options[key] !== undefined);
}

export function checkProcessorOptions(options: ProcessorOptions): void {
  checkKeys(options, processorKeys, "");
  if (options.parallelism !== undefined) checkCount(options.parallelism, "parallelism", [1, 1024]);
  if (options.asyncProcessing !== undefined) checkBoolean(options.asyncProcessing, "asyncProcessing");
  toGroupSettings(options.group);
  if (options.onError !== undefined && typeof options.onError !== "function") {
    throw invalidArgument("onError", "is no function", "Give a function of (error, context).");
  }
}

/** Checks all options; throws a MillraceError that names the first one at fault and what to do. */
export function checkCreateOptions(options: CreateOptions): void {
  checkKeys(options, [...settingKeys, ...processorKeys, "update"], "");
  checkProcessorOptions(pick(options, processorKeys));
  if (options.update !== undefined) checkBoolean(options.update, "update");
  if (options.processingMode !== undefined) {
    checkOneOf(options.processingMode, "processingMode", ["real_time", "batch"]);
  }
  if (options.batchSize !== undefined) checkCount(options.batchSize, "batchSize", [1, 8192]);
  if (options.workerThreads !== undefined) checkCount(options.workerThreads, "workerThreads", [1, 256]);
  checkMmapOptions(options);
  if (options.bufferSize !== undefined) checkBufferSize(options.bufferSize);
  if (options.ordered !== undefined) checkBoolean(options.ordered, "ordered");
  checkPrivacy(options.privacy ?? {});
  checkEnrichments(options.enrichments ?? {});
}

/** The options of these names that are there. */
function pick<Key extends keyof CreateOptions>(options: CreateOptions, names: readonly Key[]) {
  const named: readonly string[] = names;
  const entries = Object.entries(options).filter(([name]) => named.includes(name));
  return Object.fromEntries(entries) as Pick<CreateOptions, Key>;
}

export function checkName(name: unknown): void {
  if (typeof name === "string" && /^[a-z][a-z0-9-]{0,63}$/.test(name)) return;
  const remedy = "Use 1 to 64 of a-z, 0-9 and '-', beginning with a letter.";
  throw invalidArgument("name", `is ${JSON.stringify(name)}`, remedy);
}

/** The stream that checked options describe, defaults filled in. */
export function toStream(
  name: string,
  options: StreamOptions & Pick<ProcessorOptions, "parallelism">,
): Stream {
  const { processingMode = "real_time", batchSize = 1_000, mmapSize, workerThreads = 0 } = options;
  const outputs = toOutputs(options);
  const isBatch = processingMode === "batch";
  return {
    name,
    processingMode: isBatch ? ProcessingMode.PROCESSING_MODE_BATCH : ProcessingMode.PROCESSING_MODE_REAL_TIME,
    batchSize,
    privacy: {
      detectorsOff: [...(options.privacy?.detectorsOff ?? [])],
      exempt: options.privacy?.exempt ?? false,
      faceDetection: options.privacy?.faceDetection ?? true,
    },
    enrichments: {
      embeddings: options.enrichments?.embeddings ?? outputs.search,
      sentiment: options.enrichments?.sentiment ?? true,
      textField: options.enrichments?.textField ?? "",
      objects: options.enrichments?.objects ?? false,
      scene: options.enrichments?.scene ?? false,
    },
    outputs,
    state: StreamState.STREAM_STATE_UNSPECIFIED,
    createdMs: 0,
    workerThreads,
    memoryMapping: options.memoryMapping ?? true,
    mmapBytes: mmapSize === undefined ? 0 : parseSize(mmapSize, "mmapSize"),
    zeroCopy: options.zeroCopy ?? true,
    bufferBytes: options.bufferSize === undefined ? 0 : parseSize(options.bufferSize, "bufferSize"),
    parallelism: Math.min(options.parallelism ?? 0, stageParallelismMax),
    ordered: options.ordered ?? false,
  };
}

function checkBufferSize(size: Size): void {
  const bytes = parseSize(size, "bufferSize");
  if (bytes >= bufferSizeBytes.min && bytes <= bufferSizeBytes.max) return;
  throw invalidArgument("bufferSize", `is ${JSON.stringify(size)}`, 'Give "1MiB" to "64GiB".');
}

function checkPrivacy(privacy: NonNullable<StreamOptions["privacy"]>): void {
  checkKeys(privacy, ["detectorsOff", "exempt", "faceDetection"], "privacy");
  if (privacy.detectorsOff !== undefined) checkTexts(privacy.detectorsOff, "privacy.detectorsOff");
  if (privacy.exempt !== undefined) checkBoolean(privacy.exempt, "privacy.exempt");
  if (privacy.faceDetection !== undefined) checkBoolean(privacy.faceDetection, "privacy.faceDetection");
}

function checkEnrichments(enrichments: NonNullable<StreamOptions["enrichments"]>): void {
  checkKeys(enrichments, ["embeddings", "sentiment", "textField", "objects", "scene"], "enrichments");
  const { embeddings, sentiment, textField, objects, scene } = enrichments;
  if (objects !== undefined) checkBoolean(objects, "enrichments.objects");
  if (scene !== undefined) checkBoolean(scene, "enrichments.scene");
  if (embeddings !== undefined) checkBoolean(embeddings, "enrichments.embeddings");
  if (sentiment !== undefined) checkBoolean(sentiment, "enrichments.sentiment");
  if (textField !== undefined && typeof textField !== "string") {
    throw invalidArgument("enrichments.textField", "is no text", "Give the name of a field.");
  }
}

const outputKeys = ["results", "storage", "kafka", "artifacts", "search", "events"] as const;
/** What adds to outputs, and is none by itself. */
const addedKeys = ["violations", "similarityThreshold"] as const;

function toOutputs({ outputs = {}, enrichments }: StreamOptions): NonNullable<Stream["outputs"]> {
  checkKeys(outputs, [...outputKeys, ...addedKeys], "outputs");
  const embeds = enrichments?.embeddings ?? true;
  const { results = true, storage = false, artifacts = true, search = embeds, events = true } = outputs;
  const { violations = events, similarityThreshold } = outputs;
  for (const [key, value] of Object.entries({ artifacts, search, events, violations }))
    checkBoolean(value, `outputs.${key}`);
  if (similarityThreshold !== undefined) checkThreshold(similarityThreshold, search);
  if (search && !embeds) {
    const remedy = "Switch enrichments.embeddings on, or outputs.search off.";
    throw invalidArgument("outputs.search", "needs embeddings, which are off", remedy);
  }
  const kept = { results: toResults(results), storage: toStorage(storage), kafka: toKafka(outputs.kafka) };
  const declared = { ...kept, artifacts, search, events };
  if (Object.values(declared).every((output) => output === undefined || output === false)) {
    throw invalidArgument("outputs", "are all off", `Switch one of ${outputKeys.join(", ")} on.`);
  }
  return { ...declared, violations, ...(similarityThreshold !== undefined && { similarityThreshold }) };
}

function checkThreshold(threshold: number, search: boolean): void {
  const field = "outputs.similarityThreshold";
  if (typeof threshold !== "number" || !(threshold > 0 && threshold <= 1)) {
    throw invalidArgument(field, `is ${JSON.stringify(threshold)}`, "Give a cosine above 0, up to 1.");
  }
  if (!search) throw invalidArgument(field, "needs search, which is off", "Switch outputs.search on.");
}

type Outputs = NonNullable<StreamOptions["outputs"]>;

function toResults(results: NonNullable<Outputs["results"]>): NonNullable<Stream["outputs"]>["results"] {
  if (results === false) return undefined;
  if (results === true) return { age: undefined, bytes: 0 };
  checkKeys(results, ["age", "bytes"], "outputs.results");
  const { age, bytes } = results;
  return {
    age: age === undefined ? undefined : toWireDuration(parseDuration(age, "outputs.results.age")),
    bytes: bytes === undefined ? 0 : parseSize(bytes, "outputs.results.bytes"),
  };
}

function toStorage(storage: NonNullable<Outputs["storage"]>): WireStorage | undefined {
  if (storage === false) return undefined;
  const named = storage === true ? {} : storage;
  checkKeys(named, ["format", "rollBytes", "rollAge", "retainBytes"], "outputs.storage");
  const { format = "records", rollBytes, rollAge, retainBytes } = named;
  checkOneOf(format, "outputs.storage.format", storageFormatNames);
  return {
    format: storageFormats[format],
    rollBytes: rollBytes === undefined ? 0 : parseSize(rollBytes, "outputs.storage.rollBytes"),
    retainBytes: retainBytes === undefined ? 0 : parseSize(retainBytes, "outputs.storage.retainBytes"),
    rollAge:
      rollAge === undefined ? undefined : toWireDuration(parseDuration(rollAge, "outputs.storage.rollAge")),
  };
}
