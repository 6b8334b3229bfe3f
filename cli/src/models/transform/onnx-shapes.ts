import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { CodedError } from "@millrace/errors";

/*
 * Declares other shapes for what goes into an ONNX model and comes out of it, all of type float; everything
 * else stays byte for byte. For models that were saved for one size and work for any.
 *
 *   ModelProto   7 graph: GraphProto   11 input, 12 output: ValueInfoProto   1 name, 2 type: TypeProto
 *   TypeProto    1 tensor_type: Tensor   1 elem_type (1: float), 2 shape   1 dim: Dimension
 *   Dimension    1 dim_value, 2 dim_param: a name for any size
 */
const modelGraph = 7;
const graphInput = 11;
const graphOutput = 12;
const float = 1;

/** By name of the tensor; a number is a size, a name any size. */
type Shapes = Record<string, (number | string)[]>;

export function onnxShapes(model: Uint8Array, settings: Readonly<Record<string, unknown>>): Uint8Array {
  const inputs = shapesOf(settings["inputs"], "inputs");
  const outputs = shapesOf(settings["outputs"], "outputs");
  const writer = new BinaryWriter();
  for (const { field, raw, value } of fieldsOf(model)) {
    if (field !== modelGraph) {
      writer.raw(raw);
      continue;
    }
    const graph = new BinaryWriter();
    for (const part of fieldsOf(value)) {
      if (part.field !== graphInput && part.field !== graphOutput) graph.raw(part.raw);
    }
    for (const [name, shape] of Object.entries(inputs)) writeValue(graph, graphInput, name, shape);
    for (const [name, shape] of Object.entries(outputs)) writeValue(graph, graphOutput, name, shape);
    writer.tag(field, WireType.LengthDelimited).bytes(graph.finish());
  }
  return writer.finish();
}

interface Field {
  field: number;
  /** Tag and value. */
  raw: Uint8Array;
  /** Of a length-delimited field; else empty. */
  value: Uint8Array;
}

function* fieldsOf(message: Uint8Array): Generator<Field> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const start = reader.pos;
    const [field, type] = reader.tag();
    let value = new Uint8Array();
    if (type === WireType.LengthDelimited) value = reader.bytes() as Uint8Array<ArrayBuffer>;
    else reader.skip(type);
    yield { field, raw: message.subarray(start, reader.pos), value };
  }
}

function writeValue(graph: BinaryWriter, field: number, name: string, shape: (number | string)[]): void {
  graph.tag(field, WireType.LengthDelimited).fork();
  graph.tag(1, WireType.LengthDelimited).string(name);
  graph.tag(2, WireType.LengthDelimited).fork();
  graph.tag(1, WireType.LengthDelimited).fork();
  graph.tag(1, WireType.Varint).int32(float);
  graph.tag(2, WireType.LengthDelimited).fork();
  for (const size of shape) {
    graph.tag(1, WireType.LengthDelimited).fork();
    if (typeof size === "string") graph.tag(2, WireType.LengthDelimited).string(size);
    else graph.tag(1, WireType.Varint).int64(size);
    graph.join();
  }
  graph.join().join().join().join();
}

function shapesOf(json: unknown, field: string): Shapes {
  const shapes: Shapes = {};
  for (const [name, shape] of Object.entries(json ?? {})) {
    if (Array.isArray(shape) && shape.every(isSize)) shapes[name] = shape;
    else throw refused(`${field}.${name} is no list of sizes and names`);
  }
  if (Object.keys(shapes).length === 0) throw refused(`${field} names no tensor`);
  return shapes;
}

const isSize = (value: unknown): value is number | string =>
  typeof value === "string" || (Number.isInteger(value) && Number(value) > 0);

function refused(what: string): CodedError {
  return new CodedError("failed_precondition", `transform onnx-shapes: ${what}`);
}
