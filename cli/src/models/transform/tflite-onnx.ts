import { CodedError, present } from "@millrace/errors";
import { type OnnxGraph, type OnnxNode, type OnnxTensor, writeOnnx } from "./onnx-writer.js";
import { readTflite, type TfliteGraph, type TfliteOperator } from "./tflite-file.js";

/*
 * A TensorFlow Lite detector as an ONNX model: convolutions, additions, and the reshapes and concatenations
 * of its ends. TensorFlow keeps the colours of a pixel together (NHWC), ONNX planes of a colour (NCHW):
 * weights are transposed here, and values once, where the first reshape meets them.
 *
 * Settings: `slice`, the bytes [from, to) of the file that are the model; default all.
 */
export function tfliteOnnx(file: Uint8Array, settings: Readonly<Record<string, unknown>>): Uint8Array {
  const [from, to] = sliceOf(settings["slice"], file.length);
  return writeOnnx(convert(readTflite(file.slice(from, to))));
}

const codes = { add: 0, concatenation: 2, convolution: 3, depthwise: 4, dequantize: 6, reshape: 22 };
const activations = { none: 0, relu: 1, relu6: 3 };

interface Conversion {
  graph: TfliteGraph;
  nodes: OnnxNode[];
  tensors: Map<string, OnnxTensor>;
  /** Values that have planes of colours, by their index; others are as TensorFlow has them. */
  planar: Set<number>;
}

function convert(graph: TfliteGraph): OnnxGraph {
  const of: Conversion = { graph, nodes: [], tensors: new Map(), planar: new Set(graph.inputs) };
  for (const operator of graph.operators) convertOperator(of, operator);
  return {
    name: "tflite",
    producer: "tflite2onnx",
    nodes: of.nodes,
    tensors: [...of.tensors.values()],
    inputs: graph.inputs.slice(0, 1).map((index) => {
      const [n = 1, height = 1, width = 1, colours = 1] = sizesOf(of, index);
      return { name: nameOf(index), sizes: [n, colours, height, width] };
    }),
    outputs: graph.outputs.map((index) => ({ name: nameOf(index), sizes: sizesOf(of, index) })),
  };
}

function convertOperator(of: Conversion, operator: TfliteOperator): void {
  const { code, inputs, output } = operator;
  const first = inputs[0] ?? 0;
  switch (code) {
    case codes.dequantize: {
      // Half precision is widened where it is read.
      const tensor = present(of.graph.tensors[output], "a tensor");
      tensor.data = present(of.graph.tensors[first]?.data, "weights in half precision");
      return;
    }
    case codes.convolution:
    case codes.depthwise:
      return convolve(of, operator);
    case codes.add:
      of.nodes.push({ op: "Add", inputs: inputs.map(nameOf), output: `${nameOf(output)}a` });
      activate(of, operator.options?.i8(0) ?? 0, { from: `${nameOf(output)}a`, to: nameOf(output) });
      if (of.planar.has(first)) of.planar.add(output);
      return;
    case codes.reshape:
      return reshape(of, operator);
    case codes.concatenation: {
      const places = sizesOf(of, output).length;
      const named = operator.options?.i32(0) ?? 0;
      const axis = named < 0 ? named + places : named;
      const moved = of.planar.has(first) ? ([0, 2, 3, 1][axis] ?? axis) : axis;
      of.nodes.push({
        op: "Concat",
        inputs: inputs.map(nameOf),
        output: nameOf(output),
        attributes: { axis: moved },
      });
      if (of.planar.has(first)) of.planar.add(output);
      return;
    }
    default:
      throw refused(`operator ${code} is not known`);
  }
}

function convolve(of: Conversion, { code, inputs, output, options }: TfliteOperator): void {
  const isDepthwise = code === codes.depthwise;
  const [source = 0, weights = 0, bias = -1] = inputs;
  const [outer = 1, height = 1, width = 1, inner = 1] = sizesOf(of, weights);
  const to = nameOf(output);
  const w = `w${weights}`;
  of.tensors.set(w, {
    name: w,
    sizes: isDepthwise ? [inner, 1, height, width] : [outer, inner, height, width],
    data: transposed(constantOf(of, weights), {
      outer: isDepthwise ? 1 : outer,
      places: height * width,
      inner,
    }),
  });
  const named = [nameOf(source), w];
  if (bias >= 0) {
    const data = constantOf(of, bias);
    of.tensors.set(`b${bias}`, { name: `b${bias}`, sizes: [data.length], data });
    named.push(`b${bias}`);
  }
  const settings = present(options, "a convolution's settings");
  of.nodes.push({
    op: "Conv",
    inputs: named,
    output: `${to}c`,
    attributes: {
      kernel_shape: [height, width],
      strides: [settings.i32(2, 1), settings.i32(1, 1)],
      auto_pad: settings.i8(0) === 0 ? "SAME_UPPER" : "VALID",
      ...(isDepthwise ? { group: inner } : {}),
    },
  });
  activate(of, settings.i8(isDepthwise ? 4 : 3), { from: `${to}c`, to });
  of.planar.add(output);
}

/** [outer][places][inner] to [outer][inner][places]. */
function transposed(
  data: Float32Array,
  { outer, places, inner }: { outer: number; places: number; inner: number },
): Float32Array {
  const turned = new Float32Array(data.length);
  for (let o = 0; o < outer; o++) {
    for (let place = 0; place < places; place++) {
      for (let i = 0; i < inner; i++) {
        turned[(o * inner + i) * places + place] = data[(o * places + place) * inner + i] ?? 0;
      }
    }
  }
  return turned;
}

function activate(of: Conversion, activation: number, { from, to }: { from: string; to: string }): void {
  switch (activation) {
    case activations.none:
      return void of.nodes.push({ op: "Identity", inputs: [from], output: to });
    case activations.relu:
      return void of.nodes.push({ op: "Relu", inputs: [from], output: to });
    case activations.relu6:
      of.tensors.set("c0", { name: "c0", sizes: [], data: Float32Array.of(0) });
      of.tensors.set("c6", { name: "c6", sizes: [], data: Float32Array.of(6) });
      return void of.nodes.push({ op: "Clip", inputs: [from, "c0", "c6"], output: to });
    default:
      throw refused(`activation ${activation} is not known`);
  }
}

function reshape(of: Conversion, { inputs, output }: TfliteOperator): void {
  const source = inputs[0] ?? 0;
  const sizes = sizesOf(of, output);
  let from = nameOf(source);
  if (of.planar.has(source) && sizesOf(of, source).length === 4) {
    const turned = `${from}h${output}`;
    of.nodes.push({ op: "Transpose", inputs: [from], output: turned, attributes: { perm: [0, 2, 3, 1] } });
    from = turned;
  }
  const shape = `s${output}`;
  of.tensors.set(shape, { name: shape, sizes: [sizes.length], data: BigInt64Array.from(sizes, BigInt) });
  of.nodes.push({ op: "Reshape", inputs: [from, shape], output: nameOf(output) });
}

const nameOf = (index: number): string => `t${index}`;

function sizesOf({ graph }: Conversion, index: number): number[] {
  return present(graph.tensors[index], `tensor ${index}`).sizes;
}

function constantOf({ graph }: Conversion, index: number): Float32Array {
  return present(graph.tensors[index]?.data, `the constant of tensor ${index}`);
}

function sliceOf(json: unknown, length: number): [from: number, to: number] {
  if (json === undefined) return [0, length];
  const [from, to] = Array.isArray(json) ? (json as unknown[]) : [];
  if (Number.isInteger(from) && Number.isInteger(to) && Number(to) <= length)
    return [Number(from), Number(to)];
  throw refused("slice is no [from, to) of the file");
}

function refused(what: string): CodedError {
  return new CodedError("failed_precondition", `transform tflite-onnx: ${what}`);
}
