import {
  ProcessingMode,
  type Stream,
  StreamState,
  type Storage as WireStorage,
} from "@millrace/proto/stream";
import { fromWireDuration } from "../units/duration.js";
import { type StorageFormatName, storageFormatNames, storageFormats } from "./outputs/storage-format.js";
import { type KafkaOutputInfo, toKafkaInfo } from "./outputs/kafka-output.js";

/** A stream's settings as the server has them, all defaults filled in. */
export interface StreamSettings {
  name: string;
  processingMode: "real_time" | "batch";
  batchSize: number;
  /** Each source's order is kept up to every output. */
  ordered: boolean;
  /** Deliveries that a stage may have in hand; zero: as each stage is set. */
  parallelism: number;
  memoryMapping: boolean;
  /** Bytes; zero is the server's default. */
  mmapSize: number;
  zeroCopy: boolean;
  /** Zero: as the server is set. */
  workerThreads: number;
  /** Bytes. A zero is the server's default. */
  bufferSize: number;
  privacy: { detectorsOff: readonly string[]; exempt: boolean; faceDetection: boolean };
  enrichments: {
    embeddings: boolean;
    sentiment: boolean;
    textField: string;
    objects: boolean;
    scene: boolean;
  };
  outputs: {
    /** Undefined: not declared. A zero is the server's default. */
    results: { ageMs: number; bytes: number } | undefined;
    storage:
      | { format: StorageFormatName; rollBytes: number; rollAgeMs: number; retainBytes: number }
      | undefined;
    /** Without what it is reached by. */
    kafka?: KafkaOutputInfo;
    artifacts: boolean;
    search: boolean;
    events: boolean;
    violations: boolean;
    similarityThreshold?: number;
  };
}

export interface StreamInfo extends StreamSettings {
  state: "active" | "paused";
  createdTime: Date;
}

export function toStreamInfo(stream: Stream | undefined): StreamInfo {
  const { privacy, enrichments, outputs } = stream ?? {};
  return {
    name: stream?.name ?? "",
    processingMode: stream?.processingMode === ProcessingMode.PROCESSING_MODE_BATCH ? "batch" : "real_time",
    batchSize: stream?.batchSize || 1_000,
    ordered: stream?.ordered ?? false,
    parallelism: stream?.parallelism ?? 0,
    memoryMapping: stream?.memoryMapping ?? true,
    mmapSize: stream?.mmapBytes ?? 0,
    zeroCopy: stream?.zeroCopy ?? true,
    workerThreads: stream?.workerThreads ?? 0,
    bufferSize: stream?.bufferBytes ?? 0,
    privacy: {
      detectorsOff: privacy?.detectorsOff ?? [],
      exempt: privacy?.exempt ?? false,
      faceDetection: privacy?.faceDetection ?? true,
    },
    enrichments: {
      embeddings: enrichments?.embeddings ?? false,
      sentiment: enrichments?.sentiment ?? false,
      textField: enrichments?.textField ?? "",
      objects: enrichments?.objects ?? false,
      scene: enrichments?.scene ?? false,
    },
    outputs: {
      results: outputs?.results && {
        ageMs: outputs.results.age === undefined ? 0 : fromWireDuration(outputs.results.age),
        bytes: outputs.results.bytes,
      },
      storage: outputs?.storage && toStorage(outputs.storage),
      ...(outputs?.kafka && { kafka: toKafkaInfo(outputs.kafka) }),
      artifacts: outputs?.artifacts ?? false,
      search: outputs?.search ?? false,
      events: outputs?.events ?? false,
      violations: outputs?.violations ?? false,
      ...(outputs?.similarityThreshold !== undefined && {
        similarityThreshold: outputs.similarityThreshold,
      }),
    },
    state: stream?.state === StreamState.STREAM_STATE_PAUSED ? "paused" : "active",
    createdTime: new Date(stream?.createdMs ?? 0),
  };
}

function toStorage({
  format,
  rollBytes,
  rollAge,
  retainBytes,
}: WireStorage): StreamSettings["outputs"]["storage"] {
  return {
    format: storageFormatNames.find((name) => storageFormats[name] === format) ?? "records",
    rollBytes,
    retainBytes,
    rollAgeMs: rollAge === undefined ? 0 : fromWireDuration(rollAge),
  };
}

/** Which settings differ, each as one clause: `batchSize is 500 there and 1000 here`. */
export function describeDifferences(there: StreamSettings, here: StreamSettings): string[] {
  const [ofThere, ofHere] = [new Map(flatten(there, "")), new Map(flatten(here, ""))];
  const names = new Set([...ofThere.keys(), ...ofHere.keys()]);
  return [...names].flatMap((name) => {
    const [value, wanted] = [ofThere.get(name) ?? "unset", ofHere.get(name) ?? "unset"];
    // Zero stands for the server's default on this side, which we cannot compare.
    return wanted === value || wanted === "0" ? [] : [`${name} is ${value} there and ${wanted} here`];
  });
}

const serverSet: ReadonlySet<string> = new Set(["state", "createdTime"]);

function flatten(value: object, prefix: string): [string, string][] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]): [string, string][] => {
    const name = prefix + key;
    if (serverSet.has(name)) return [];
    const isBranch = typeof inner === "object" && inner !== null && !Array.isArray(inner);
    return isBranch ? flatten(inner, `${name}.`) : [[name, JSON.stringify(inner) ?? "unset"]];
  });
}
