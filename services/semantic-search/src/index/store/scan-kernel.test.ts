import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import loadWabt from "wabt";
import { kernelBytes } from "./scan-kernel.js";

test("the kernel in the code is its text, assembled", async () => {
  const wabt = await loadWabt();
  const path = new URL("../../../src/index/store/scan-kernel.wat", import.meta.url);
  const module = wabt.parseWat("scan-kernel.wat", await readFile(path, "utf8"), { simd: true });
  module.resolveNames();
  module.validate();
  assert.deepEqual(Buffer.from(module.toBinary({}).buffer), kernelBytes());
});
