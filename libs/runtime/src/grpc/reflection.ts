import type { ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from "@grpc/grpc-js";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/*
 * gRPC server reflection, v1 and v1alpha (grpc/reflection/v1/reflection.proto), over the descriptors as buf
 * built them. The library for it (@grpc/reflection 1.0.4) parses descriptors and writes them anew with
 * relative type names, which Go clients such as grpcurl refuse.
 *
 *   ServerReflectionRequest  { 1 host, 3 file_by_filename, 4 file_containing_symbol, 7 list_services }
 *   ServerReflectionResponse { 1 valid_host, 2 original_request, 4 { repeated 1 file descriptor },
 *                              6 { repeated 1 { 1 name } }, 7 { 1 code, 2 message } }
 */
interface DescribedFile {
  name: string;
  bytes: Uint8Array;
  imports: string[];
  /** Full names of its messages, enums, services and methods, nested ones included. */
  symbols: string[];
}

export interface Reflection {
  services: readonly { definition: ServiceDefinition; implementation: UntypedServiceImplementation }[];
}

const notFound = 5;
const unimplemented = 12;

/** `image` is a FileDescriptorSet with all imports; `services` are the full names that are served. */
export function createReflection(image: Uint8Array, services: readonly string[]): Reflection {
  const files = new Map(readImage(image).map((file) => [file.name, file]));
  const bySymbol = new Map<string, DescribedFile>();
  for (const file of files.values()) for (const symbol of file.symbols) bySymbol.set(symbol, file);

  const answer = (request: Uint8Array): Uint8Array => {
    const asked = readRequest(request);
    const response = new BinaryWriter().uint32(10).string(asked.host).uint32(18).bytes(request);
    if (asked.kind === "list") {
      response.uint32(50).fork();
      for (const name of services) response.uint32(10).fork().uint32(10).string(name).join();
      return response.join().finish();
    }
    const file = asked.kind === "file" ? files.get(asked.value) : bySymbol.get(asked.value);
    if (file === undefined) {
      const code = asked.kind === "other" ? unimplemented : notFound;
      const reason = asked.kind === "other" ? "not served" : `${asked.value} is not known`;
      return response.uint32(58).fork().uint32(8).int32(code).uint32(18).string(reason).join().finish();
    }
    response.uint32(34).fork();
    for (const { bytes } of withImports(file, files)) response.uint32(10).bytes(bytes);
    return response.join().finish();
  };

  const serve = (call: ServerDuplexStream<Uint8Array, Uint8Array>): void => {
    call.on("data", (request: Uint8Array) => call.write(answer(request)));
    call.on("end", () => call.end());
    call.on("error", () => undefined);
  };
  return {
    services: ["v1", "v1alpha"].map((version) => ({
      definition: definitionOf(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`),
      implementation: { serverReflectionInfo: serve },
    })),
  };
}

function definitionOf(path: string): ServiceDefinition {
  const asBuffer = (bytes: Uint8Array): Buffer =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const asIs = (bytes: Buffer): Uint8Array => bytes;
  return {
    serverReflectionInfo: {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: asBuffer,
      requestDeserialize: asIs,
      responseSerialize: asBuffer,
      responseDeserialize: asIs,
    },
  };
}

/** A file and all that it imports, each once, so that a client needs to ask no further. */
function withImports(file: DescribedFile, files: ReadonlyMap<string, DescribedFile>): DescribedFile[] {
  const found = new Set<DescribedFile>([file]);
  for (const { imports } of found) {
    for (const name of imports) {
      const imported = files.get(name);
      if (imported !== undefined) found.add(imported);
    }
  }
  return [...found];
}

type Visit = (field: number, wireType: WireType, reader: BinaryReader) => boolean;

/** Calls `visit` for each field of a message; what it does not read is skipped. */
function eachField(bytes: Uint8Array, visit: Visit): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (!visit(field, wireType, reader)) reader.skip(wireType, field);
  }
}

interface Asked {
  host: string;
  kind: "list" | "file" | "symbol" | "other";
  value: string;
}

function readRequest(bytes: Uint8Array): Asked {
  const asked: Asked = { host: "", kind: "other", value: "" };
  const kinds: Readonly<Record<number, Asked["kind"]>> = { 3: "file", 4: "symbol", 7: "list" };
  eachField(bytes, (field, wireType, reader) => {
    if (wireType !== WireType.LengthDelimited) return false;
    const kind = kinds[field];
    if (kind === undefined && field !== 1) return false;
    const text = reader.string();
    if (kind === undefined) asked.host = text;
    else Object.assign(asked, { kind, value: text });
    return true;
  });
  return asked;
}

/** FileDescriptorSet { repeated 1 FileDescriptorProto }, of descriptor.proto. */
function readImage(image: Uint8Array): DescribedFile[] {
  const files: DescribedFile[] = [];
  eachField(image, (field, _, reader) => field === 1 && files.push(readFile(reader.bytes())) > 0);
  return files;
}

/** FileDescriptorProto { 1 name, 2 package, 3 dependency, 4 message_type, 5 enum_type, 6 service }. */
function readFile(bytes: Uint8Array): DescribedFile {
  const file: DescribedFile = { name: "", bytes, imports: [], symbols: [] };
  let scope = "";
  const nested: { field: number; bytes: Uint8Array }[] = [];
  eachField(bytes, (field, _, reader) => {
    if (field === 1) file.name = reader.string();
    else if (field === 2) scope = reader.string();
    else if (field === 3) file.imports.push(reader.string());
    else if (field >= 4 && field <= 6) nested.push({ field, bytes: reader.bytes() });
    else return false;
    return true;
  });
  for (const part of nested) addSymbols(part, scope, file.symbols);
  return file;
}

/**
 * Message { 1 name, 3 nested_type, 4 enum_type }, Enum { 1 name }, Service { 1 name, 2 method { 1 name } }.
 */
function addSymbols(part: { field: number; bytes: Uint8Array }, scope: string, symbols: string[]): void {
  let name = "";
  const inner: { field: number; bytes: Uint8Array }[] = [];
  const [message, service] = [4, 6];
  eachField(part.bytes, (field, _, reader) => {
    if (field === 1) name = reader.string();
    else if (part.field === message && field === 3) inner.push({ field: message, bytes: reader.bytes() });
    else if (part.field === message && field === 4) inner.push({ field: 5, bytes: reader.bytes() });
    else if (part.field === service && field === 2) inner.push({ field: 5, bytes: reader.bytes() });
    else return false;
    return true;
  });
  const full = scope === "" ? name : `${scope}.${name}`;
  symbols.push(full);
  for (const one of inner) addSymbols(one, full, symbols);
}
