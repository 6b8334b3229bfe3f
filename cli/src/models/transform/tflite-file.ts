import { present } from "@millrace/errors";

/*
 * Reads a TensorFlow Lite model: a FlatBuffer, little endian.
 *
 *   table   i32 back to its vtable; vtable: u16 bytes, u16 table bytes, u16 place of each field or 0
 *   vector  u32 count, then entries; tables and vectors are referred to by u32 forward
 *
 *   Model     1 operator codes, 2 subgraphs, 4 buffers
 *   Subgraph  0 tensors, 1 inputs, 2 outputs, 3 operators
 *   Tensor    0 shape, 1 type (0 f32, 1 f16, 2 i32), 2 buffer
 *   Operator  0 index of its code, 1 inputs, 2 outputs, 4 options
 */
export interface TfliteOperator {
  code: number;
  inputs: number[];
  output: number;
  options: Table | undefined;
}

export interface TfliteTensor {
  sizes: number[];
  /** Of a constant; undefined for what is computed. Half precision is widened. */
  data: Float32Array | undefined;
}

export interface TfliteGraph {
  tensors: TfliteTensor[];
  inputs: number[];
  outputs: number[];
  operators: TfliteOperator[];
}

/** Fields of a table by number; what is not there has the given default. */
export interface Table {
  i8(field: number, otherwise?: number): number;
  i32(field: number, otherwise?: number): number;
  ints(field: number): number[];
  bytes(field: number): Buffer;
  tables(field: number): Table[];
  table(field: number): Table | undefined;
}

export function readTflite(file: Uint8Array): TfliteGraph {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const model = tableAt(bytes, bytes.readUInt32LE(0));
  const codes = model.tables(1).map((code) => Math.max(code.i8(0), code.i32(3)));
  const buffers = model.tables(4);
  const graph = present(model.tables(2)[0], "the model's graph");
  return {
    tensors: graph.tables(0).map((tensor) => {
      const sizes = tensor.ints(0);
      const held = present(buffers[tensor.i32(2)], "a tensor's buffer").bytes(0);
      return { sizes, data: held.length === 0 ? undefined : floatsOf(held, tensor.i8(1)) };
    }),
    inputs: graph.ints(1),
    outputs: graph.ints(2),
    operators: graph.tables(3).map((operator) => ({
      code: present(codes[operator.i32(0)], "an operator's code"),
      inputs: operator.ints(1),
      output: present(operator.ints(2)[0], "an operator's output"),
      options: operator.table(4),
    })),
  };
}

function tableAt(bytes: Buffer, at: number): Table {
  const vtable = at - bytes.readInt32LE(at);
  const place = (field: number): number => {
    const entry = 4 + 2 * field;
    const offset = entry < bytes.readUInt16LE(vtable) ? bytes.readUInt16LE(vtable + entry) : 0;
    return offset === 0 ? 0 : at + offset;
  };
  const vector = (field: number): { count: number; first: number } => {
    const found = place(field);
    if (found === 0) return { count: 0, first: 0 };
    const start = found + bytes.readUInt32LE(found);
    return { count: bytes.readUInt32LE(start), first: start + 4 };
  };
  const follow = (from: number): Table => tableAt(bytes, from + bytes.readUInt32LE(from));
  return {
    i8: (field, otherwise = 0) => (place(field) === 0 ? otherwise : bytes.readInt8(place(field))),
    i32: (field, otherwise = 0) => (place(field) === 0 ? otherwise : bytes.readInt32LE(place(field))),
    ints: (field) => {
      const { count, first } = vector(field);
      return Array.from({ length: count }, (_, i) => bytes.readInt32LE(first + 4 * i));
    },
    bytes: (field) => {
      const { count, first } = vector(field);
      return bytes.subarray(first, first + count);
    },
    tables: (field) => {
      const { count, first } = vector(field);
      return Array.from({ length: count }, (_, i) => follow(first + 4 * i));
    },
    table: (field) => (place(field) === 0 ? undefined : follow(place(field))),
  };
}

function floatsOf(bytes: Buffer, type: number): Float32Array | undefined {
  if (type === 0) {
    return Float32Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
  }
  if (type === 1) {
    return Float32Array.from({ length: bytes.length / 2 }, (_, i) => widened(bytes.readUInt16LE(2 * i)));
  }
  // Indexes and shapes: what is needed of them is told by the tensors that they make.
  return undefined;
}

/** IEEE binary16. */
export function widened(half: number): number {
  const sign = half >> 15 === 0 ? 1 : -1;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
