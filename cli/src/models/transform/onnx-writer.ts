import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/*
 * Writes ONNX models, always the same bytes for the same graph:
 *
 *   ModelProto      1 ir_version, 2 producer_name, 7 graph, 8 opset_import { 1 domain, 2 version }
 *   GraphProto      1 node, 2 name, 5 initializer, 11 input, 12 output
 *   NodeProto       1 input, 2 output, 3 name, 4 op_type, 5 attribute
 *   AttributeProto  1 name, 3 i, 4 s, 8 ints, 20 type (2: int, 3: string, 7: ints)
 *   TensorProto     1 dims, 2 data_type (1: float, 7: int64), 8 name, 9 raw_data
 */

/** A number, a word, or a list of numbers. */
export type Attributes = Readonly<Record<string, number | string | readonly number[]>>;

export interface OnnxNode {
  op: string;
  inputs: readonly string[];
  /** The node has its name. */
  output: string;
  attributes?: Attributes;
}

export interface OnnxTensor {
  name: string;
  sizes: readonly number[];
  data: Float32Array | BigInt64Array;
}

/** What goes in or comes out, of type float; a name stands for any size. */
export interface OnnxValue {
  name: string;
  sizes: readonly (number | string)[];
}

export interface OnnxGraph {
  name: string;
  producer: string;
  nodes: readonly OnnxNode[];
  tensors: readonly OnnxTensor[];
  inputs: readonly OnnxValue[];
  outputs: readonly OnnxValue[];
}

const irVersion = 8;
const opset = 13;
const float = 1;
const int64 = 7;

export function writeOnnx({ name, producer, nodes, tensors, inputs, outputs }: OnnxGraph): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int64(irVersion);
  writer.tag(2, WireType.LengthDelimited).string(producer);
  message(writer, 7, () => {
    for (const node of nodes) message(writer, 1, () => writeNode(writer, node));
    writer.tag(2, WireType.LengthDelimited).string(name);
    for (const tensor of tensors) message(writer, 5, () => writeTensor(writer, tensor));
    for (const input of inputs) message(writer, 11, () => writeValue(writer, input));
    for (const output of outputs) message(writer, 12, () => writeValue(writer, output));
  });
  message(writer, 8, () => {
    writer.tag(1, WireType.LengthDelimited).string("");
    writer.tag(2, WireType.Varint).int64(opset);
  });
  return writer.finish();
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function writeNode(writer: BinaryWriter, { op, inputs, output, attributes = {} }: OnnxNode): void {
  for (const input of inputs) writer.tag(1, WireType.LengthDelimited).string(input);
  writer.tag(2, WireType.LengthDelimited).string(output);
  writer.tag(3, WireType.LengthDelimited).string(output);
  writer.tag(4, WireType.LengthDelimited).string(op);
  for (const [name, value] of Object.entries(attributes)) {
    message(writer, 5, () => writeAttribute(writer, name, value));
  }
}

function writeAttribute(writer: BinaryWriter, name: string, value: Attributes[string]): void {
  writer.tag(1, WireType.LengthDelimited).string(name);
  if (typeof value === "number") {
    writer.tag(3, WireType.Varint).int64(value).tag(20, WireType.Varint).int32(2);
  } else if (typeof value === "string") {
    writer.tag(4, WireType.LengthDelimited).string(value).tag(20, WireType.Varint).int32(3);
  } else {
    for (const each of value) writer.tag(8, WireType.Varint).int64(each);
    writer.tag(20, WireType.Varint).int32(7);
  }
}

function writeTensor(writer: BinaryWriter, { name, sizes, data }: OnnxTensor): void {
  for (const size of sizes) writer.tag(1, WireType.Varint).int64(size);
  writer.tag(2, WireType.Varint).int32(data instanceof Float32Array ? float : int64);
  writer.tag(8, WireType.LengthDelimited).string(name);
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  writer.tag(9, WireType.LengthDelimited).bytes(bytes);
}

function writeValue(writer: BinaryWriter, { name, sizes }: OnnxValue): void {
  writer.tag(1, WireType.LengthDelimited).string(name);
  message(writer, 2, () =>
    message(writer, 1, () => {
      writer.tag(1, WireType.Varint).int32(float);
      message(writer, 2, () => {
        for (const size of sizes) {
          message(writer, 1, () => {
            if (typeof size === "string") writer.tag(2, WireType.LengthDelimited).string(size);
            else writer.tag(1, WireType.Varint).int64(size);
          });
        }
      });
    }),
  );
}
