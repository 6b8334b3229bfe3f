import { CodedError, present } from "@millrace/errors";

/*
 * Reads the weights of a PyTorch file of before 1.6: pickles one after the other, then the numbers.
 *
 *   magic, protocol, machine, {name: tensor of a storage}, [storage keys], then of each: i64 count, numbers
 *
 * A pickle is a program. Only the calls that put tensors together are known here, and they are records, not
 * run; every other one is refused.
 */
export interface TorchTensor {
  sizes: number[];
  data: Float32Array;
}

type Value = number | bigint | string | boolean | null | Value[] | Map<Value, Value> | Named | Storage | View;
interface Named {
  named: string;
}
interface Storage {
  key: string;
  type: string;
}
interface View {
  storage: Storage;
  offset: number;
  sizes: number[];
  strides: number[];
}

const magic = 0x1950a86a20f9469cfc6cn;

export function readTorchWeights(file: Uint8Array): ReadonlyMap<string, TorchTensor> {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.byteLength);
  const reader = { bytes, at: 0 };
  if (unpickle(reader) !== magic) throw refused("it is no PyTorch file of before 1.6");
  unpickle(reader);
  unpickle(reader);
  const tensors = unpickle(reader);
  const keys = unpickle(reader);
  if (!(tensors instanceof Map) || !Array.isArray(keys)) throw refused("it holds no tensors by name");
  const views = [...tensors].flatMap(([name, view]): [string, View][] =>
    typeof name === "string" && isView(view) ? [[name, view]] : [],
  );
  const types = new Map(views.map(([, { storage }]) => [storage.key, storage.type]));
  const numbers = readNumbers(reader, keys.map(String), types);
  const weights = new Map<string, TorchTensor>();
  for (const [name, view] of views) {
    const held = numbers.get(view.storage.key);
    if (held !== undefined) weights.set(name, { sizes: view.sizes, data: gathered(view, held) });
  }
  return weights;
}

/** Of floats; counters of training steps are skipped. */
function readNumbers(
  reader: Reader,
  keys: readonly string[],
  types: ReadonlyMap<string, string>,
): Map<string, Float32Array> {
  const { bytes } = reader;
  const numbers = new Map<string, Float32Array>();
  for (const key of keys) {
    const count = Number(bytes.readBigInt64LE(reader.at));
    reader.at += 8;
    const start = reader.at;
    const isFloat = types.get(key) === "torch.FloatStorage";
    if (!isFloat && types.get(key) !== "torch.LongStorage")
      throw refused("it holds other numbers than floats");
    if (isFloat) {
      numbers.set(
        key,
        Float32Array.from({ length: count }, (_, i) => bytes.readFloatLE(start + 4 * i)),
      );
    }
    reader.at += count * (isFloat ? 4 : 8);
  }
  return numbers;
}

/** The numbers of a view in order, whatever its strides. */
function gathered({ offset, sizes, strides }: View, held: Float32Array): Float32Array {
  const data = new Float32Array(sizes.reduce((product, size) => product * size, 1));
  const place = sizes.map(() => 0);
  for (let i = 0, from = offset; i < data.length; i++) {
    data[i] = present(held[from], "a number of a tensor");
    for (let axis = sizes.length - 1; axis >= 0; axis--) {
      const [size = 1, stride = 0, along = 0] = [sizes[axis], strides[axis], place[axis]];
      from += stride;
      place[axis] = along + 1;
      if (along + 1 < size) break;
      from -= stride * size;
      place[axis] = 0;
    }
  }
  return data;
}

interface Reader {
  bytes: Buffer;
  at: number;
}

interface Machine extends Reader {
  stack: Value[];
  marks: number[];
  memo: Map<number, Value>;
}

const stop = 0x2e;

function unpickle(reader: Reader): Value {
  const machine: Machine = { ...reader, stack: [], marks: [], memo: new Map() };
  for (;;) {
    const code = machine.bytes[machine.at++];
    if (code === stop) break;
    const step = steps[code ?? -1];
    if (step === undefined) throw refused(`pickle instruction ${code} is not known`);
    step(machine);
  }
  reader.at = machine.at;
  return pop(machine);
}

const pop = ({ stack }: Machine): Value => present(stack.pop(), "a value of the pickle");
const fromMark = ({ stack, marks }: Machine): Value[] =>
  stack.splice(present(marks.pop(), "a mark of the pickle"));
const top = ({ stack }: Machine): Value => present(stack.at(-1), "a value of the pickle");

function take(machine: Machine, bytes: number): number {
  const at = machine.at;
  machine.at += bytes;
  return at;
}

function line(machine: Machine): string {
  const end = machine.bytes.indexOf(0x0a, machine.at);
  const text = machine.bytes.toString("utf8", machine.at, end);
  machine.at = end + 1;
  return text;
}

function append(machine: Machine, values: readonly Value[]): void {
  const list = top(machine);
  if (!Array.isArray(list)) throw refused("it appends to what is no list");
  list.push(...values);
}

function assign(machine: Machine, values: readonly Value[]): void {
  const map = top(machine);
  if (!(map instanceof Map)) throw refused("it sets fields of what is no dictionary");
  for (let i = 0; i + 1 < values.length; i += 2) map.set(values[i] as Value, values[i + 1] as Value);
}

function tuple(machine: Machine, count: number): void {
  machine.stack.push(machine.stack.splice(machine.stack.length - count));
}

/** The one kind of object that lies outside of the pickle: a storage, by its key. */
function persistent(machine: Machine): void {
  const [, type, key] = pop(machine) as Value[];
  if (!isNamed(type) || typeof key !== "string") throw refused("it refers to what is no storage");
  machine.stack.push({ type: type.named, key });
}

function reduce(machine: Machine): void {
  const given = pop(machine) as Value[];
  const called = pop(machine);
  const name = isNamed(called) ? called.named : "";
  if (name === "collections.OrderedDict") return void machine.stack.push(new Map());
  if (name !== "torch._utils._rebuild_tensor_v2" && name !== "torch._utils._rebuild_tensor") {
    throw refused(`it calls ${name}`);
  }
  const [storage, offset, sizes, strides] = given;
  if (!isStorage(storage) || !Array.isArray(sizes) || !Array.isArray(strides)) {
    throw refused("a tensor is not put together as known");
  }
  const view = { storage, offset: Number(offset), sizes: sizes.map(Number), strides: strides.map(Number) };
  machine.stack.push(view);
}

function long(machine: Machine): bigint {
  const count = machine.bytes[take(machine, 1)] ?? 0;
  const at = take(machine, count);
  let value = 0n;
  for (let i = count - 1; i >= 0; i--) value = (value << 8n) | BigInt(machine.bytes[at + i] ?? 0);
  return value;
}

/** By the instruction's byte; names are those of Python's pickletools. */
const steps: Readonly<Record<number, (machine: Machine) => void>> = {
  // PROTO, MARK, BUILD (what a dictionary carries beside its entries: left out)
  0x80: (m) => void take(m, 1),
  0x28: (m) => void m.marks.push(m.stack.length),
  0x62: (m) => void pop(m),
  // EMPTY_DICT, EMPTY_LIST, EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
  0x7d: (m) => void m.stack.push(new Map()),
  0x5d: (m) => void m.stack.push([]),
  0x29: (m) => void m.stack.push([]),
  0x74: (m) => void m.stack.push(fromMark(m)),
  0x85: (m) => tuple(m, 1),
  0x86: (m) => tuple(m, 2),
  0x87: (m) => tuple(m, 3),
  // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
  0x71: (m) => void m.memo.set(m.bytes[take(m, 1)] ?? 0, top(m)),
  0x72: (m) => void m.memo.set(m.bytes.readUInt32LE(take(m, 4)), top(m)),
  0x68: (m) => void m.stack.push(present(m.memo.get(m.bytes[take(m, 1)] ?? 0), "a memo")),
  0x6a: (m) => void m.stack.push(present(m.memo.get(m.bytes.readUInt32LE(take(m, 4))), "a memo")),
  // BINUNICODE, BININT1, BININT2, BININT, LONG1, BINFLOAT
  0x58: (m) => {
    const length = m.bytes.readUInt32LE(take(m, 4));
    const at = take(m, length);
    m.stack.push(m.bytes.toString("utf8", at, at + length));
  },
  0x4b: (m) => void m.stack.push(m.bytes[take(m, 1)] ?? 0),
  0x4d: (m) => void m.stack.push(m.bytes.readUInt16LE(take(m, 2))),
  0x4a: (m) => void m.stack.push(m.bytes.readInt32LE(take(m, 4))),
  0x8a: (m) => void m.stack.push(long(m)),
  0x47: (m) => void m.stack.push(m.bytes.readDoubleBE(take(m, 8))),
  // NEWTRUE, NEWFALSE, NONE
  0x88: (m) => void m.stack.push(true),
  0x89: (m) => void m.stack.push(false),
  0x4e: (m) => void m.stack.push(null),
  // GLOBAL, BINPERSID, REDUCE
  0x63: (m) => void m.stack.push({ named: `${line(m)}.${line(m)}` }),
  0x51: persistent,
  0x52: reduce,
  // SETITEMS, SETITEM, APPENDS, APPEND
  0x75: (m) => assign(m, fromMark(m)),
  0x73: (m) => assign(m, m.stack.splice(m.stack.length - 2)),
  0x65: (m) => append(m, fromMark(m)),
  0x61: (m) => append(m, [pop(m)]),
};

const isNamed = (value: Value | undefined): value is Named =>
  typeof value === "object" && value !== null && "named" in value;
const isStorage = (value: Value | undefined): value is Storage =>
  typeof value === "object" && value !== null && "key" in value;
const isView = (value: Value): value is View =>
  typeof value === "object" && value !== null && "storage" in value;

function refused(what: string): CodedError {
  return new CodedError("failed_precondition", `read PyTorch weights: ${what}`);
}
