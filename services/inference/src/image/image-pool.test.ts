import assert from "node:assert/strict";
import { dirname } from "node:path";
import { type TestContext, test } from "node:test";
import type { CodedError } from "@millrace/errors";
import { catPhoto, coffeePhoto, facePhoto, framedPhoto } from "@millrace/images/testing";
import { fixtureModel } from "../model/fixture-model.js";
import type { ImageModelsLocation } from "./image-entry.js";
import { imagePool } from "./image-pool.js";

async function located(): Promise<ImageModelsLocation> {
  const [objects, scene] = [
    await fixtureModel("object-detection"),
    await fixtureModel("scene-classification"),
  ];
  const { manifestPath, modelsDirectory } = objects;
  return { manifestPath, modelsDirectory, objects: objects.name, scene: scene.name };
}

function poolFor(t: TestContext, location: ImageModelsLocation) {
  const missing: CodedError[] = [];
  const pool = imagePool({ location, onMissing: (error) => missing.push(error) });
  t.after(() => pool.close());
  const look = (image: Uint8Array, wish: { objects?: boolean; scene?: boolean; hasFace?: boolean }) =>
    pool.look({ image, objects: false, scene: false, hasFace: false, ...wish });
  return { look, missing };
}

test("things and scenes are known, and nothing is told of how people look", async (t) => {
  const { look } = poolFor(t, await located());
  const all = { objects: true, scene: true };
  const cat = await look(await catPhoto(), all);
  const [found] = cat.objects?.found ?? [];
  assert.equal(found?.label, "cat");
  assert.ok(found.score > 0.8 && found.width > 300 && found.x < 30 && found.x + found.width <= 360);
  assert.equal(cat.scene?.label?.label, "cat");
  const coffee = await look(await coffeePhoto(), all);
  assert.deepEqual(
    coffee.objects?.found.map(({ label }) => label),
    ["coffee cup"],
  );
  assert.equal(coffee.scene?.label?.label, "drink");

  const person = await look(await facePhoto(), all);
  assert.equal(person.objects?.found[0]?.label, "person");
  assert.equal(person.scene, undefined);
  const withFace = await look(await catPhoto(), { scene: true, hasFace: true });
  assert.deepEqual([withFace.objects, withFace.scene], [undefined, undefined]);
});

test("the opt-in model sees people, in pictures of any shape, with the box where they are", async (t) => {
  const { name } = await fixtureModel("centernet-mobilenetv3-coco");
  const { look } = poolFor(t, { ...(await located()), objects: name });
  for (const [width, height] of [
    [512, 512],
    [1024, 512],
    [512, 1024],
  ] as const) {
    // In the photo, which lies in the middle, the person takes the height and the left two thirds.
    const { objects } = await look(await framedPhoto({ width, height, photo: 512 }), { objects: true });
    assert.equal(objects?.model.name, name);
    const [found] = objects.found;
    assert.equal(found?.label, "person", `${width} × ${height}`);
    const [left, top] = [found.x - (width - 512) / 2, found.y - (height - 512) / 2];
    assert.ok(Math.abs(left - 15) < 30 && Math.abs(top - 15) < 30, `${width} × ${height}: ${left}, ${top}`);
    const [right, bottom] = [left + found.width, top + found.height];
    assert.ok(Math.abs(right - 355) < 30 && Math.abs(bottom - 505) < 30, `${right}, ${bottom}`);
    assert.ok(found.x >= 0 && found.y >= 0);
    assert.ok(found.x + found.width <= width && found.y + found.height <= height);
  }
});

test("a bad image is refused, and the next one is looked at", async (t) => {
  const { look } = poolFor(t, await located());
  const bad = look(new Uint8Array(Buffer.from("\x89PNG\r\n\x1a\n....", "latin1")), { objects: true });
  await assert.rejects(bad, { code: "invalid_argument" });
  const { objects } = await look(await catPhoto(), { objects: true });
  assert.equal(objects?.found.length, 1);
});

test("without its model only what asks for it waits, and is told once how to have it", async (t) => {
  const there = await located();
  const { look, missing } = poolFor(t, { ...there, modelsDirectory: dirname(there.manifestPath) });
  const refusal = { code: "unavailable", scope: "stream", subject: "model:objects" };
  for (let tried = 0; tried < 2; tried++) {
    await assert.rejects(look(await catPhoto(), { objects: true }), { ...refusal, remedy: /models pull/ });
  }
  assert.equal(missing.length, 1);
});
