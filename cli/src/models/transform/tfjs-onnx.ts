import { CodedError, present } from "@millrace/errors";
import { type Attributes, type OnnxNode, type OnnxTensor, writeOnnx } from "./onnx-writer.js";
import { widened } from "./tflite-file.js";

/*
 * A convolutional graph of TensorFlow.js as an ONNX model: what leads to the outputs that the settings name.
 * TensorFlow keeps the colours of a pixel together (NHWC), ONNX planes of a colour (NCHW): weights are
 * transposed here, and axes renamed.
 *
 * Settings: `outputs`, names of nodes.
 */
export function tfjsOnnx(
  [graph = new Uint8Array(), weights = new Uint8Array()]: readonly Uint8Array[],
  settings: Readonly<Record<string, unknown>>,
): Uint8Array {
  const { modelTopology, weightsManifest } = JSON.parse(new TextDecoder().decode(graph)) as TfjsFile;
  const of: Conversion = {
    nodes: new Map(modelTopology.node.map((node) => [node.name, node])),
    weights: readWeights(
      weightsManifest.flatMap((group) => group.weights),
      weights,
    ),
    done: new Set(),
    made: [],
    tensors: new Map(),
    inputs: [],
  };
  const outputs = settings["outputs"];
  if (!Array.isArray(outputs)) throw refused("outputs is no list of nodes");
  const named = outputs.map((name) => convert(of, String(name)));
  return writeOnnx({
    name: "tfjs",
    producer: "tfjs2onnx",
    nodes: of.made,
    tensors: [...of.tensors.values()],
    inputs: of.inputs,
    outputs: named.map((name) => ({ name, sizes: ["n", "c", "h", "w"] })),
  });
}

/** As far as it is read here; strings are in base64. */
interface TfjsNode {
  name: string;
  op: string;
  input?: string[];
  attr?: Record<
    string,
    { s?: string; list?: { i?: string[]; s?: string[] }; shape?: { dim: { size: string }[] } }
  >;
}

interface TfjsWeight {
  name: string;
  shape: number[];
  dtype: string;
  quantization?: { dtype: string };
}

interface TfjsFile {
  modelTopology: { node: TfjsNode[] };
  weightsManifest: { weights: TfjsWeight[] }[];
}

interface Weight {
  sizes: number[];
  values: Float32Array | Int32Array;
}

interface Conversion {
  nodes: ReadonlyMap<string, TfjsNode>;
  weights: ReadonlyMap<string, Weight>;
  done: Set<string>;
  made: OnnxNode[];
  tensors: Map<string, OnnxTensor>;
  inputs: { name: string; sizes: number[] }[];
}

function readWeights(all: readonly TfjsWeight[], file: Uint8Array): Map<string, Weight> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const read = new Map<string, Weight>();
  let at = 0;
  for (const { name, shape: sizes, dtype, quantization } of all) {
    const count = sizes.reduce((product, size) => product * size, 1);
    const numbers = { length: count };
    if (dtype === "int32") {
      read.set(name, { sizes, values: Int32Array.from(numbers, (_, i) => view.getInt32(at + 4 * i, true)) });
      at += 4 * count;
    } else if (dtype === "float32" && quantization?.dtype === "float16") {
      const values = Float32Array.from(numbers, (_, i) => widened(view.getUint16(at + 2 * i, true)));
      read.set(name, { sizes, values });
      at += 2 * count;
    } else throw refused(`weights of type ${dtype}, quantised as ${quantization?.dtype}, are not known`);
  }
  return read;
}

/** Makes the node and, before it, what it needs; returns its name. */
function convert(of: Conversion, reference: string): string {
  const name = reference.split(":")[0] ?? reference;
  if (of.done.has(name)) return name;
  of.done.add(name);
  const node = present(of.nodes.get(name), `node ${name}`);
  const { op, input: inputs = [] } = node;
  const made = (as: string, from: readonly string[], attributes: Attributes = {}): string => {
    of.made.push({ op: as, inputs: from, output: name, attributes });
    return name;
  };
  const first = inputs[0] ?? "";
  switch (op) {
    case "Placeholder": {
      const dim = node.attr?.["shape"]?.shape?.dim ?? [];
      const [n = 1, height = 1, width = 1, colours = 1] = dim.map(({ size }) => Number(size));
      of.inputs.push({ name, sizes: [n, colours, height, width] });
      return name;
    }
    case "Const":
      return constant(of, name);
    case "Conv2D":
    case "_FusedConv2D":
    case "DepthwiseConv2dNative":
    case "FusedDepthwiseConv2dNative":
      return convolve(of, node, made);
    case "Mul":
    case "Add":
    case "Relu":
    case "Sigmoid":
    case "Identity":
      return made(
        op,
        inputs.map((each) => convert(of, each)),
      );
    case "Relu6":
      return made("Clip", [
        convert(of, first),
        tensor(of, "c0", [], Float32Array.of(0)),
        tensor(of, "c6", [], Float32Array.of(6)),
      ]);
    case "Mean":
      return made("ReduceMean", [convert(of, first)], { axes: [2, 3], keepdims: 1 });
    case "ConcatV2": {
      const parts = inputs.slice(0, -1).map((each) => convert(of, each));
      return made("Concat", parts, { axis: 1 });
    }
    case "ResizeBilinear":
      return made("Resize", [convert(of, first), "", "", resizedTo(of, name, inputs)], {
        mode: "linear",
        coordinate_transformation_mode: "asymmetric",
      });
    default:
      throw refused(`operator ${op} is not known`);
  }
}

/** The sizes that a picture is brought to: its own number and colours, and the height and width said. */
function resizedTo(of: Conversion, name: string, [source = "", sizes = ""]: readonly string[]): string {
  const [shape, kept, all] = [`${name}/sh`, `${name}/nc`, `${name}/sz`];
  const whole = (of64: string, values: Iterable<number>): string =>
    tensor(of, of64, [...values].length, BigInt64Array.from([...values], BigInt));
  const ends = [whole("s0", [0]), whole("s2", [2])];
  const places = whole(`${name}/hw`, present(of.weights.get(sizes), `sizes ${sizes}`).values);
  of.made.push(
    { op: "Shape", inputs: [source], output: shape },
    { op: "Slice", inputs: [shape, ...ends], output: kept },
    { op: "Concat", inputs: [kept, places], output: all, attributes: { axis: 0 } },
  );
  return all;
}

function convolve(
  of: Conversion,
  { name, op, input = [], attr = {} }: TfjsNode,
  made: (as: string, from: readonly string[], attributes?: Attributes) => string,
): string {
  const [source = "", filter = "", bias = ""] = input;
  const isDepthwise = op.includes("Depthwise");
  const { sizes, values } = present(of.weights.get(filter), `weights ${filter}`);
  const [height = 1, width = 1, from = 1, to = 1] = sizes;
  const shape = isDepthwise ? [from * to, 1, height, width] : [to, from, height, width];
  const turned = transposed(values, { places: height * width, from, to, isDepthwise });
  const inputs = [tensor(of, `${filter}/oihw`, shape, turned)];
  inputs.unshift(convert(of, source));
  const fused = (attr["fused_ops"]?.list?.s ?? []).map(text);
  if (fused.includes("BiasAdd")) {
    const added = present(of.weights.get(bias), `bias ${bias}`).values;
    inputs.push(tensor(of, `${bias}/b`, [added.length], Float32Array.from(added)));
  }
  const [, down = 1, right = 1] = (attr["strides"]?.list?.i ?? []).map(Number);
  const attributes = {
    strides: [down, right],
    kernel_shape: [height, width],
    auto_pad: text(attr["padding"]?.s ?? "") === "SAME" ? "SAME_UPPER" : "VALID",
    ...(isDepthwise ? { group: from } : {}),
  };
  const activation = fused.find((each) => each !== "BiasAdd");
  if (activation === undefined) return made("Conv", inputs, attributes);
  if (activation !== "Relu") throw refused(`activation ${activation} is not known`);
  of.made.push({ op: "Conv", inputs, output: `${name}/conv`, attributes });
  return made("Relu", [`${name}/conv`]);
}

/** [places][from][to] to [to][from][places], or to [from][to][places] where each colour has a filter. */
function transposed(
  values: Float32Array | Int32Array,
  { places, from, to, isDepthwise }: { places: number; from: number; to: number; isDepthwise: boolean },
): Float32Array {
  const turned = new Float32Array(values.length);
  for (let place = 0; place < places; place++) {
    for (let f = 0; f < from; f++) {
      for (let t = 0; t < to; t++) {
        const row = isDepthwise ? f * to + t : t * from + f;
        turned[row * places + place] = values[(place * from + f) * to + t] ?? 0;
      }
    }
  }
  return turned;
}

/** A number, or one for each colour. */
function constant(of: Conversion, name: string): string {
  const { sizes, values } = present(of.weights.get(name), `constant ${name}`);
  if (sizes.length > 1 || values instanceof Int32Array) throw refused(`constant ${name} is no number`);
  return tensor(of, name, values.length > 1 ? [1, values.length, 1, 1] : [], values);
}

function tensor(
  of: Conversion,
  name: string,
  sizes: number | readonly number[],
  data: OnnxTensor["data"],
): string {
  if (!of.tensors.has(name)) of.tensors.set(name, { name, sizes: [sizes].flat(), data });
  return name;
}

const text = (base64: string): string => Buffer.from(base64, "base64").toString();

function refused(what: string): CodedError {
  return new CodedError("failed_precondition", `transform tfjs-onnx: ${what}`);
}
