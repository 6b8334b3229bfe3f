import assert from "node:assert/strict";
import { test } from "node:test";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { onnxShapes } from "./onnx-shapes.js";

const shapes = { inputs: { x: ["b", 3] }, outputs: { y: ["b"] } };

test("only the graph's inputs and outputs are declared anew", () => {
  // ModelProto { ir_version 8, graph { name "g", input "old", output "old" }, domain "d" }
  const graph = new BinaryWriter().uint32(18).string("g").uint32(90).string("old").uint32(98).string("old");
  const model = new BinaryWriter().uint32(8).int32(8).uint32(58).bytes(graph.finish()).uint32(34).string("d");
  const made = Buffer.from(onnxShapes(model.finish(), shapes)).toString("hex");
  // By field number: name, { type { float, shape { "b", 3 } } }.
  const x = "5a140a0178120f0a0d080112090a031201620a020803";
  const y = "62100a0179120b0a09080112050a03120162";
  assert.equal(made, `08083a2b120167${x}${y}220164`);
});

test("settings that make no sense are named", () => {
  assert.throws(() => onnxShapes(new Uint8Array(), { inputs: {} }), /inputs names no tensor/);
  const bad = { ...shapes, outputs: { y: [-1] } };
  assert.throws(() => onnxShapes(new Uint8Array(), bad), /outputs\.y is no list of sizes and names/);
});
