import assert from "node:assert/strict";
import { before, test } from "node:test";
import { decodeImage, imageFormats, type Pixels } from "@millrace/images";
import { facePhoto, framedPhoto, turnedPhoto, withCanaries } from "@millrace/images/testing";
import { cleanImage } from "./clean-image.js";
import { loadFaceModel } from "./face-model.js";
import { findFaces, type RunFaceModel } from "./find-faces.js";
import { faceModel } from "./testing/face-model.js";

let run: RunFaceModel;
before(async () => {
  run = await loadFaceModel(await faceModel());
});

for (const format of imageFormats) {
  test(`a ${format} leaves no metadata, and no face that a model finds`, async () => {
    const canary = "canary-51n-0w";
    const file = await withCanaries(await facePhoto(), format, canary);
    const { bytes, faces } = await cleanImage(file, run);
    assert.equal(faces.length, 1);
    assert.equal(Buffer.from(bytes).includes(canary), false);
    assert.equal(/Exif|xmpmeta|GPS/.test(Buffer.from(bytes).toString("latin1")), false);
    const [was, is] = [await decodeImage(file), await decodeImage(bytes)];
    assert.deepEqual(await findFaces(is, run), []);
    const [face] = faces;
    assert.ok(face !== undefined && face.x < 224 && face.x + face.width > 224 && face.y < 110);
    // Of what makes a face, its edges, next to nothing is left; the rest of the picture has all of them.
    assert.ok(detail(is, face) < detail(was, face) / 4, `${detail(is, face)} of ${detail(was, face)}`);
    const below = { x: 100, y: 300, width: 300, height: 200 };
    assert.ok(detail(is, below) > detail(was, below) * 0.8);
  });
}

test("a face of 30 pixels in a picture of 6 MP is found, and one that fills the picture", async () => {
  const small = await cleanImage(await framedPhoto({ width: 3_000, height: 2_000, photo: 180 }), run);
  assert.ok(
    small.faces.some(({ width }) => width > 25 && width < 60),
    JSON.stringify(small.faces),
  );
  const crop = { x: 165, y: 40, width: 120, height: 150 };
  const large = await cleanImage(await framedPhoto({ width: 1_600, height: 2_000, photo: 1_600, crop }), run);
  assert.ok(
    large.faces.some(({ width }) => width > 700),
    JSON.stringify(large.faces),
  );
});

test("a face is found however the picture is held, and none is left in what comes of it", async () => {
  for (const turn of [90, 180, 270]) {
    const { faces, bytes } = await cleanImage(await turnedPhoto(turn), run);
    assert.equal(faces.length, 1, `turned by ${turn}`);
    assert.deepEqual(await findFaces(await decodeImage(bytes), run), []);
  }
});

/** Mean difference between neighbours along a row. */
function detail(
  { data, width }: Pixels,
  box: { x: number; y: number; width: number; height: number },
): number {
  let sum = 0;
  for (let y = box.y; y < box.y + box.height; y++) {
    for (let x = box.x; x + 1 < box.x + box.width; x++) {
      const at = (y * width + x) * 3;
      sum += Math.abs((data[at + 1] ?? 0) - (data[at + 4] ?? 0));
    }
  }
  return sum / (box.width * box.height);
}
