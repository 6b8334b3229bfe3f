import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { pruneDependencies } from "./prune.mjs";
import { namesBelow } from "./walk.mjs";

test("other platforms' files, sources, types and records go; code and licences stay", (t) => {
  const stay = [
    "a/LICENSE.md",
    "a/NOTICE",
    "a/lib/index.js",
    "a/lib/linux.js",
    "a/package.json",
    "ort/bin/napi-v6/linux/arm64/binding.node",
    "u/prebuilds/linux-arm64/u.node",
  ];
  const go = [
    ".bin/a",
    ".modules.yaml",
    "a/README.md",
    "a/lib/index.d.ts",
    "a/lib/index.js.map",
    "a/lib/index.ts",
    "a/src/native.cc",
    "ort/bin/napi-v6/darwin/arm64/binding.node",
    "ort/bin/napi-v6/linux/x64/binding.node",
    "ort/bin/napi-v6/win32/arm64/onnxruntime.dll",
    "u/prebuilds/darwin-arm64+x64/u.node",
    "u/prebuilds/linux-x64/u.node",
    "k/musl_arm64/k.node",
  ];
  const folder = mkdtempSync(join(tmpdir(), "millrace-prune-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of [...stay, ...go]) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), "");
  }
  pruneDependencies(folder, { platform: "linux", arch: "arm64" });
  const left = namesBelow(folder).filter((name) => /\.\w+$|NOTICE$/.test(name));
  assert.deepEqual(left, stay.toSorted());
});
