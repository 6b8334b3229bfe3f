import assert from "node:assert/strict";
import { test } from "node:test";
import { readFile, writeFile } from "node:fs/promises";
import { pullModels } from "./pull.js";
import { resolveImageModels, resolveModel } from "./resolve-model.js";
import { resolveTextModel } from "./resolve-text-model.js";
import { calls, deliver, place, preferred, second } from "./testing.js";

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

test("an opt-in model is fetched by nothing but its name", async (t) => {
  const at = await place(t);
  await deliver(at, preferred.client, preferred.bytes);
  await deliver(at, second.client, second.bytes);
  const manifest = JSON.parse(await readFile(at.manifestPath, "utf8"));
  manifest.models[0].optIn = true;
  await writeFile(at.manifestPath, JSON.stringify(manifest));
  const names = (models: { name: string }[]) => models.map(({ name }) => name);
  assert.deepEqual(names(await pullModels(at)), ["small"]);
  assert.equal((await resolveModel("text-embedding", at))?.name, "small");
  assert.equal((await resolveTextModel(at)).name, "small");
  assert.equal(await calls(at, preferred.client), 0);
  assert.deepEqual(names(await pullModels({ ...at, only: ["big"] })), ["big"]);
  assert.equal((await resolveModel("text-embedding", at))?.name, "small");
});
