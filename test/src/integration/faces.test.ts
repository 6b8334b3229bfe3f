import assert from "node:assert/strict";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { decodeImage, type Pixels } from "@millrace/images";
import { enlargedPhoto, facePhoto, pngFile, withCanaries } from "@millrace/images/testing";
import {
  createStreamProcessor,
  type HandledOf,
  type ReceivedMessage,
  type StreamOptions,
} from "@millrace/sdk";
import { filePlaces, httpPlaces, storedPlaces } from "../system/leaks/collect-places.js";
import type { Place } from "../system/leaks/find-leaks.js";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { until } from "../system/observe.js";

const canary = "canary-kf83-zq";
const plain: StreamOptions = {
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: true, artifacts: true, search: false, events: false, storage: { rollAge: "200ms" } },
};
const rawStreams = new Set(["RAW", "DLQ_RAW"]);
const rawFiles = /^(nats\/.*streams\/(RAW|DLQ_RAW)\/|data\/raw\/.*\.seg$)/;

/** Mean difference between neighbours along a row: edges, which make a face. */
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

describe("a photo with a face and a place", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem();
  });
  after(() => system.stop());

  it("is filtered as an image where it comes as a large file, whatever its name", async () => {
    const enrichments = { ...plain.enrichments, objects: true };
    await using stream = await createStreamProcessor("dropped", system.client, { ...plain, enrichments });
    const path = join(system.inputDir, "dropped");
    await mkdir(path);
    const seen: HandledOf<"image">[] = [];
    await stream.onImageMessage((message) => void seen.push(message)).ready;
    const photo = await withCanaries(await enlargedPhoto(2_000), "jpeg", canary, 100);
    assert.ok(photo.length > 2 ** 20 && Buffer.from(photo).includes(canary));
    await writeFile(join(path, "photo.dat"), photo);
    await stream.addFileSource({ path, format: "whole" });
    await until(() => seen.length === 1, "the photo");
    const [message] = seen;
    assert.ok(message !== undefined && !Buffer.from(message.imageData).includes(canary));
    const [face] = message.findings;
    assert.ok(face?.type === "FACE" && face.box !== undefined);
    const [was, is] = [await decodeImage(photo), await decodeImage(message.imageData)];
    assert.ok(detail(is, face.box) < detail(was, face.box) / 4);
    assert.ok(message.objects.some(({ label }) => label === "person"));
    // What the other tests look for is a leak, and not what was put there.
    await rm(path, { recursive: true });
  });

  it("leaves neither in any store, result or log, and a bomb beside it is dead-lettered alone", async () => {
    await using stream = await createStreamProcessor("photos", system.client, plain);
    const photo = await withCanaries(await facePhoto(), "jpeg", canary);
    const bomb = pngFile({ width: 6_000, height: 6_000 });
    await stream.publish([
      { image: photo, sourceId: "cam" },
      { image: bomb },
      { image: photo, sourceId: "cam" },
    ]);
    const artifact = await stream.getOrCreateArtifact("cam");
    const added = await artifact.addImage(photo, { processImmediately: true });
    const seen: ReceivedMessage[] = [];
    for await (const message of stream.subscribe({ from: "earliest" })) {
      seen.push(message);
      if (seen.length === 3) break;
    }
    const [first] = seen;
    assert.ok(first?.kind === "image");
    const face = first.findings.find(({ type }) => type === "FACE");
    assert.equal(face?.place, "box");
    assert.ok(face?.box !== undefined);
    const [was, is] = [await decodeImage(photo), await decodeImage(first.imageData)];
    assert.ok(detail(is, face.box) < detail(was, face.box) / 4);
    const kept = await artifact.getContent(added.id);
    assert.deepEqual(kept.message.content, first.content);
    const settled = async () => (await stream.status()).conservation;
    await until(async () => (await settled()).inFlight === 0, "everything settled");
    const { in: came, dead, balanced } = await settled();
    assert.deepEqual([came, dead, balanced], [4, 1, true]);

    // What the camera wrote, and 40 bytes out of the middle of its own compressed face.
    const middle = Buffer.from(photo).subarray(photo.length / 2, photo.length / 2 + 40);
    const needles = [Buffer.from(canary), middle, Buffer.from(middle.toString("base64").slice(4, 44))];
    const holds = ({ name, bytes }: Place): string[] =>
      needles.some((needle) => Buffer.from(bytes).includes(needle)) ? [name] : [];
    const stored = [...(await storedPlaces(system.described))];
    const clean = stored.flatMap(([name, places]) => (rawStreams.has(name) ? [] : places));
    const files = (await filePlaces(system.described.stateDir)).filter(({ name }) => !rawFiles.test(name));
    const http = await httpPlaces(system.described);
    assert.deepEqual([...clean, ...files, ...http].flatMap(holds), []);
  });

  it("keeps nothing of its face where the stream says so, and is blurred all the same", async () => {
    const privacy = { faceDetection: false };
    await using stream = await createStreamProcessor("unseen", system.client, { ...plain, privacy });
    await stream.publish({ image: await facePhoto() });
    for await (const message of stream.subscribe({ from: "earliest" })) {
      assert.ok(message.kind === "image");
      assert.deepEqual(message.findings, []);
      const around = { x: 170, y: 60, width: 100, height: 110 };
      const [was, is] = [await decodeImage(await facePhoto()), await decodeImage(message.imageData)];
      assert.ok(detail(is, around) < detail(was, around) / 2);
      break;
    }
  });
});
