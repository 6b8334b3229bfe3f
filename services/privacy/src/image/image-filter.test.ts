import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { facePhoto, pngFile } from "@millrace/images/testing";
import { createImageFilter, type ImageFilterOptions } from "./image-filter.js";
import { faceModel } from "./testing/face-model.js";

const poison = fileURLToPath(new URL("./testing/poison-program.js", import.meta.url));
const nowhere = { manifestPath: "/nowhere/manifest.json", directory: "/nowhere", name: "centerface" };

function filterFor(t: TestContext, options: Partial<ImageFilterOptions>) {
  const lost: string[] = [];
  const filter = createImageFilter({
    location: nowhere,
    processesMax: 1,
    monotonic: () => performance.now(),
    onLost: ({ message }) => void lost.push(message),
    ...options,
  });
  t.after(() => filter.close());
  return { filter, lost };
}

test("an image is cleaned by another process, a bad one is refused, and the next passes", async (t) => {
  const { filter, lost } = filterFor(t, { location: await faceModel() });
  const bomb = filter.clean(pngFile({ width: 6_000, height: 6_000 }));
  const [photo] = await Promise.all([
    filter.clean(await facePhoto()),
    assert.rejects(bomb, { code: "invalid_argument", message: /6000 × 6000/, remedy: /smaller/ }),
  ]);
  assert.equal(photo.faces.length, 1);
  assert.deepEqual(lost, []);
});

test("without its model images wait, and only their stream", async (t) => {
  const { filter } = filterFor(t, {});
  const refusal = { code: "unavailable", scope: "stream", subject: "model:faces" };
  await assert.rejects(filter.clean(await facePhoto()), { ...refusal, message: /images wait/ });
  // For a while nothing is started: it would fail again.
  await assert.rejects(filter.clean(await facePhoto()), refusal);
  assert.equal(filter.failure()?.subject, "model:faces");
});

for (const [word, how] of [
  ["exits", /exit code 0/],
  ["aborts", /SIGABRT/],
  ["hangs", /longer than 300 ms/],
] as const) {
  test(`an image whose process ${word} fails after a second try, alone`, async (t) => {
    const { filter, lost } = filterFor(t, { program: poison, imageMsMax: 300 });
    const all = ["a", word, "b"].map((text) => filter.clean(Buffer.from(text)));
    const [first, second, third] = await Promise.allSettled(all);
    assert.deepEqual([first?.status, second?.status, third?.status], ["fulfilled", "rejected", "fulfilled"]);
    assert.match(second?.status === "rejected" ? String(second.reason) : "", how);
    assert.equal(lost.length, 2);
  });
}
