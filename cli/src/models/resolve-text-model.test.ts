import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { CodedError } from "@millrace/errors";
import { resolveTextModel } from "./resolve-text-model.js";
import { calls, deliver, modelPath, place, preferred, script, second } from "./testing.js";

test("the preferred model is taken when its client is there", async (t) => {
  const at = await place(t);
  await deliver(at, "mvn", preferred.bytes);
  await deliver(at, "python3", second.bytes);
  assert.equal((await resolveTextModel(at)).name, "big");
  assert.equal(await calls(at, "python3"), 0);
});

test("the next model is taken when the preferred one cannot be had", async (t) => {
  const at = await place(t);
  await deliver(at, "python3", second.bytes);
  assert.equal((await resolveTextModel(at)).name, "small");
  assert.match(at.lines[0] ?? "", /^model big: .*needs 'mvn', which is not installed$/);
});

test("a model in the cache stays in use when a better one could be fetched", async (t) => {
  const at = await place(t);
  await deliver(at, "python3", second.bytes);
  await resolveTextModel(at);
  await deliver(at, "mvn", preferred.bytes);
  assert.equal((await resolveTextModel(at)).name, "small");
  assert.equal(await calls(at, "mvn"), 0);
});

test("a corrupt model is mended before another one is taken", async (t) => {
  const at = await place(t);
  await deliver(at, "python3", second.bytes);
  await resolveTextModel(at);
  await deliver(at, "mvn", preferred.bytes);
  await writeFile(modelPath(at, "small"), "bit rot");
  assert.equal((await resolveTextModel(at)).name, "small");
});

test("without any model the error lists every try and the command that helps", async (t) => {
  const at = await place(t);
  await script(at, "python3", "echo 'ERROR: no route to the index' >&2; exit 1");
  const error = await resolveTextModel(at).then(
    () => assert.fail("a model came from nowhere"),
    (caught: unknown) => CodedError.from(caught),
  );
  assert.equal(error.code, "failed_precondition");
  assert.match(error.message, /big: needs 'mvn'/);
  assert.match(error.message, /small: .*no route to the index/);
  assert.match(error.remedy ?? "", /npx millrace models pull/);
});

test("an abort ends the search at once", async (t) => {
  const at = await place(t);
  await script(at, "mvn", "exec /bin/sleep 600");
  const abort = new AbortController();
  const resolving = resolveTextModel({ ...at, signal: abort.signal });
  setImmediate(() => abort.abort());
  await assert.rejects(resolving, { code: "canceled" });
  assert.equal(await calls(at, "python3"), 0);
});
