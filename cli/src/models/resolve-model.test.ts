import assert from "node:assert/strict";
import { test } from "node:test";
import { resolveImageModels, resolveModel } from "./resolve-model.js";
import { deliver, place, second } from "./testing.js";

test("the first model of a task that can be had is taken", async (t) => {
  const at = await place(t);
  await deliver(at, "python3", second.bytes);
  assert.equal((await resolveModel("text-embedding", at))?.name, "small");
});

test("a model for images that is missing ends nothing, and is told with what it means", async (t) => {
  const at = await place(t);
  assert.deepEqual(await resolveImageModels(at), []);
  assert.match(at.lines.join("\n"), /no face-detection model .*images wait.*millrace models pull/);
});
