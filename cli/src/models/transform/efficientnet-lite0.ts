import { present } from "@millrace/errors";
import { type OnnxNode, type OnnxTensor, writeOnnx } from "./onnx-writer.js";
import { readTorchWeights, type TorchTensor } from "./torch-weights.js";

/*
 * EfficientNet-lite0 from its PyTorch weights: a stem, seven stages of inverted bottlenecks, a head.
 *
 *   image [n, 3, 224, 224] ─► embedding [n, 1280] ─► probs [n, 1000]
 *
 * Each normalisation is folded into the convolution before it, so only convolutions, clips and additions are
 * left.
 */
const stages = [
  { blocks: 1, kernel: 3, stride: 1, expands: false },
  { blocks: 2, kernel: 3, stride: 2, expands: true },
  { blocks: 2, kernel: 5, stride: 2, expands: true },
  { blocks: 3, kernel: 3, stride: 2, expands: true },
  { blocks: 3, kernel: 5, stride: 1, expands: true },
  { blocks: 4, kernel: 5, stride: 2, expands: true },
  { blocks: 1, kernel: 3, stride: 1, expands: true },
] as const;

/** What the normalisations were trained with. */
const epsilon = 1e-3;

interface Build {
  weights: ReadonlyMap<string, TorchTensor>;
  nodes: OnnxNode[];
  tensors: OnnxTensor[];
  /** Convolutions so far: their names. */
  count: number;
}

interface Convolution {
  weights: string;
  normalisation: string;
  kernel: number;
  stride?: number;
  groups?: number;
  isLinear?: boolean;
}

export function efficientNetLite0(file: Uint8Array): Uint8Array {
  const build: Build = { weights: readTorchWeights(file), nodes: [], tensors: [], count: 0 };
  const { nodes, tensors } = build;
  tensors.push({ name: "c0", sizes: [], data: Float32Array.of(0) });
  tensors.push({ name: "c6", sizes: [], data: Float32Array.of(6) });
  const stem = { weights: "_conv_stem.weight", normalisation: "_bn0", kernel: 3, stride: 2 };
  let value = convolve(build, "image", stem);
  let index = 0;
  for (const stage of stages) {
    for (let at = 0; at < stage.blocks; at++) value = block(build, value, { ...stage, index: index++, at });
  }
  value = convolve(build, value, { weights: "_conv_head.weight", normalisation: "_bn1", kernel: 1 });
  nodes.push({ op: "GlobalAveragePool", inputs: [value], output: "gap" });
  nodes.push({ op: "Flatten", inputs: ["gap"], output: "embedding", attributes: { axis: 1 } });
  tensors.push({ name: "fcw", ...tensorOf(build, "_fc.weight") });
  tensors.push({ name: "fcb", ...tensorOf(build, "_fc.bias") });
  const fully = ["embedding", "fcw", "fcb"];
  nodes.push({ op: "Gemm", inputs: fully, output: "fc", attributes: { transB: 1 } });
  nodes.push({ op: "Softmax", inputs: ["fc"], output: "probs", attributes: { axis: 1 } });
  return writeOnnx({
    name: "efficientnet-lite0",
    producer: "efflite2onnx",
    nodes,
    tensors,
    inputs: [{ name: "image", sizes: ["n", 3, 224, 224] }],
    outputs: [
      { name: "probs", sizes: ["n", 1000] },
      { name: "embedding", sizes: ["n", 1280] },
    ],
  });
}

interface Block {
  kernel: number;
  stride: number;
  expands: boolean;
  /** Of all blocks, and within its stage. */
  index: number;
  at: number;
}

function block(build: Build, input: string, { kernel, stride, expands, index, at }: Block): string {
  const prefix = `_blocks.${index}.`;
  const named = (layer: string, normalisation: string) => ({
    weights: `${prefix}${layer}.weight`,
    normalisation: `${prefix}${normalisation}`,
  });
  const widened = expands ? convolve(build, input, { ...named("_expand_conv", "_bn0"), kernel: 1 }) : input;
  const depthwise = named("_depthwise_conv", "_bn1");
  const groups = present(tensorOf(build, depthwise.weights).sizes[0], "channels of a block");
  const filtered = convolve(build, widened, { ...depthwise, kernel, stride: at === 0 ? stride : 1, groups });
  const output = convolve(build, filtered, { ...named("_project_conv", "_bn2"), kernel: 1, isLinear: true });
  if (at === 0) return output;
  build.nodes.push({ op: "Add", inputs: [output, input], output: `a${index}` });
  return `a${index}`;
}

function convolve(build: Build, input: string, as: Convolution): string {
  const { kernel, stride = 1, groups = 1, isLinear = false } = as;
  const name = `n${build.count++}`;
  const { sizes, data, bias } = folded(build, as);
  build.tensors.push({ name: `${name}w`, sizes, data });
  build.tensors.push({ name: `${name}b`, sizes: [bias.length], data: bias });
  const output = isLinear ? name : `${name}c`;
  build.nodes.push({
    op: "Conv",
    inputs: [input, `${name}w`, `${name}b`],
    output,
    attributes: {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      auto_pad: "SAME_UPPER",
      group: groups,
    },
  });
  if (!isLinear) build.nodes.push({ op: "Clip", inputs: [output, "c0", "c6"], output: name });
  return name;
}

/** Weights and bias of a convolution with its normalisation in them. */
function folded(build: Build, { weights, normalisation }: Convolution) {
  const { sizes, data } = tensorOf(build, weights);
  const of = (part: string): Float32Array => tensorOf(build, `${normalisation}.${part}`).data;
  const [gain, shift, mean, variance] = [of("weight"), of("bias"), of("running_mean"), of("running_var")];
  const outputs = present(sizes[0], "channels of a convolution");
  const each = data.length / outputs;
  const scaled = new Float32Array(data.length);
  const bias = new Float32Array(outputs);
  for (let o = 0; o < outputs; o++) {
    const factor = (gain[o] ?? 0) / Math.sqrt((variance[o] ?? 0) + epsilon);
    for (let i = 0; i < each; i++) scaled[o * each + i] = (data[o * each + i] ?? 0) * factor;
    bias[o] = (shift[o] ?? 0) - (mean[o] ?? 0) * factor;
  }
  return { sizes, data: scaled, bias };
}

function tensorOf({ weights }: Build, name: string): TorchTensor {
  return present(weights.get(name), `the weights ${name}`);
}
