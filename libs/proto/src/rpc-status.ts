import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

// google.rpc.Status, as it travels in the trailer `grpc-status-details-bin`:
//
//   Status { 1: int32 code, 2: string message, 3: repeated Any details }
//   Any { 1: string type_url, 2: bytes value }
//     BadRequest { 1: repeated FieldViolation { 1: string field, 2: string description } }
//     ErrorInfo  { 1: string reason, 2: string domain, 3: map<string, string> metadata }
//     QuotaFailure { 1: repeated Violation { 1: string subject, 2: string description } }
//     RetryInfo  { 1: Duration retry_delay { 1: int64 seconds, 2: int32 nanos } }
//
// Hand-written, since four small messages are not worth a copy of Google's protos in this repository.

export interface FieldViolation {
  /** The request field at fault, as the caller wrote it. */
  field: string;
  description: string;
}

export interface QuotaViolation {
  /** What is exhausted, as kind and name: `stream:orders`. */
  subject: string;
  description: string;
}

export interface ErrorInfo {
  /** Why, in UPPER_SNAKE_CASE. */
  reason: string;
  /** Who says so. */
  domain: string;
  metadata: Record<string, string>;
}

/** A google.rpc.Status with the four details that are understood; others are skipped. */
export interface RpcStatus {
  /** A gRPC status number. */
  code: number;
  message: string;
  fieldViolations?: FieldViolation[];
  errorInfo?: ErrorInfo;
  quotaViolations?: QuotaViolation[];
  /** How long to wait before the same call may succeed, in milliseconds. */
  retryDelayMs?: number;
}

const typePrefix = "type.googleapis.com/google.rpc.";

/** The trailer's bytes. */
export function encodeRpcStatus(status: RpcStatus): Uint8Array {
  const writer = new BinaryWriter();
  if (status.code !== 0) writer.uint32(8).int32(status.code);
  if (status.message !== "") writer.uint32(18).string(status.message);
  if (status.fieldViolations !== undefined && status.fieldViolations.length > 0) {
    writeDetail(
      writer,
      "BadRequest",
      encodePairs(status.fieldViolations.map(({ field, description }) => [field, description])),
    );
  }
  if (status.quotaViolations !== undefined && status.quotaViolations.length > 0) {
    writeDetail(
      writer,
      "QuotaFailure",
      encodePairs(status.quotaViolations.map(({ subject, description }) => [subject, description])),
    );
  }
  if (status.errorInfo !== undefined) writeDetail(writer, "ErrorInfo", encodeErrorInfo(status.errorInfo));
  if (status.retryDelayMs !== undefined)
    writeDetail(writer, "RetryInfo", encodeRetryInfo(status.retryDelayMs));
  return writer.finish();
}

/** Reads a trailer. Throws on bytes that are no protobuf message: they come from another party. */
export function decodeRpcStatus(bytes: Uint8Array): RpcStatus {
  const status: RpcStatus = { code: 0, message: "" };
  readFields(bytes, {
    1: (reader) => (status.code = reader.int32()),
    2: (reader) => (status.message = reader.string()),
    3: (reader) => readDetail(reader.bytes(), status),
  });
  return status;
}

function writeDetail(writer: BinaryWriter, type: string, value: Uint8Array): void {
  writer
    .uint32(26)
    .fork()
    .uint32(10)
    .string(typePrefix + type)
    .uint32(18)
    .bytes(value)
    .join();
}

/** BadRequest and QuotaFailure look alike. */
function encodePairs(pairs: readonly (readonly [string, string])[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [first, second] of pairs) {
    writer.uint32(10).fork().uint32(10).string(first).uint32(18).string(second).join();
  }
  return writer.finish();
}

function encodeErrorInfo(info: ErrorInfo): Uint8Array {
  const writer = new BinaryWriter().uint32(10).string(info.reason).uint32(18).string(info.domain);
  for (const [key, value] of Object.entries(info.metadata)) {
    writer.uint32(26).fork().uint32(10).string(key).uint32(18).string(value).join();
  }
  return writer.finish();
}

function encodeRetryInfo(delayMs: number): Uint8Array {
  const seconds = Math.floor(delayMs / 1000);
  const nanos = Math.round((delayMs - seconds * 1000) * 1e6);
  return new BinaryWriter()
    .uint32(10)
    .fork()
    .uint32(8)
    .int64(seconds)
    .uint32(16)
    .int32(nanos)
    .join()
    .finish();
}

function readDetail(bytes: Uint8Array, status: RpcStatus): void {
  let type = "";
  let value: Uint8Array = new Uint8Array();
  readFields(bytes, { 1: (reader) => (type = reader.string()), 2: (reader) => (value = reader.bytes()) });
  if (type === `${typePrefix}BadRequest`) {
    status.fieldViolations = decodePairs(value).map(([field, description]) => ({ field, description }));
  }
  if (type === `${typePrefix}QuotaFailure`) {
    status.quotaViolations = decodePairs(value).map(([subject, description]) => ({ subject, description }));
  }
  if (type === `${typePrefix}ErrorInfo`) status.errorInfo = decodeErrorInfo(value);
  if (type === `${typePrefix}RetryInfo`) status.retryDelayMs = decodeRetryInfo(value);
}

function decodePairs(bytes: Uint8Array): [string, string][] {
  const pairs: [string, string][] = [];
  readFields(bytes, { 1: (reader) => pairs.push(readPair(reader.bytes())) });
  return pairs;
}

function decodeErrorInfo(bytes: Uint8Array): ErrorInfo {
  let [reason, domain] = ["", ""];
  const entries: [string, string][] = [];
  readFields(bytes, {
    1: (reader) => (reason = reader.string()),
    2: (reader) => (domain = reader.string()),
    3: (reader) => entries.push(readPair(reader.bytes())),
  });
  return { reason, domain, metadata: Object.fromEntries(entries) };
}

function decodeRetryInfo(bytes: Uint8Array): number {
  let [seconds, nanos] = [0, 0];
  readFields(bytes, {
    1: (reader) =>
      readFields(reader.bytes(), {
        1: (inner) => (seconds = Number(inner.int64())),
        2: (inner) => (nanos = inner.int32()),
      }),
  });
  return seconds * 1000 + nanos / 1e6;
}

/** A message of two strings: a field violation or an entry of a map. */
function readPair(bytes: Uint8Array): [string, string] {
  const pair: [string, string] = ["", ""];
  readFields(bytes, {
    1: (reader) => (pair[0] = reader.string()),
    2: (reader) => (pair[1] = reader.string()),
  });
  return pair;
}

type FieldReaders = Record<number, (reader: BinaryReader) => unknown>;

/**
 * Calls the reader of each field that has one, if its wire type is one of those used above; skips the rest.
 */
function readFields(bytes: Uint8Array, readers: FieldReaders): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const read = readers[field];
    const isKnown = wireType === WireType.LengthDelimited || wireType === WireType.Varint;
    if (read === undefined || !isKnown) reader.skip(wireType, field);
    else read(reader);
  }
}
