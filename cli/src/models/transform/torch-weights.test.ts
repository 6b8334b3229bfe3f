import assert from "node:assert/strict";
import { test } from "node:test";
import { readTorchWeights } from "./torch-weights.js";
import { tfliteOnnx } from "./tflite-onnx.js";

/** Pickle: LONG1 of the magic number, STOP; then two empty dictionaries, and what is given. */
const file = (pickle: string): Uint8Array =>
  Buffer.from(`\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.}.}.${pickle}`, "latin1");

test("a file of weights that would run anything is refused, and one that is none", () => {
  const system = "cos\nsystem\nX\x02\x00\x00\x00ls\x85R.";
  assert.throws(() => readTorchWeights(file(system)), { code: "failed_precondition", message: /os\.system/ });
  assert.throws(() => readTorchWeights(file("i.")), /pickle instruction 105 is not known/);
  assert.throws(() => readTorchWeights(Buffer.from("PK\x03\x04")), { code: "failed_precondition" });
});

test("a slice beyond the file is refused", () => {
  const refusal = { code: "failed_precondition", message: /slice is no \[from, to\)/ };
  assert.throws(() => tfliteOnnx(new Uint8Array(8), { slice: [0, 9] }), refusal);
});
