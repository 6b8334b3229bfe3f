import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { limits } from "@millrace/envelope";
import { catPhoto, coffeePhoto, facePhoto, withCanaries } from "@millrace/images/testing";
import {
  PublishRequest,
  UploadContentRequest,
  UploadContentRequest_Open,
  UploadKind,
} from "@millrace/proto/message";
import { attachStreamProcessor, createStreamProcessor, type ReceivedMessage } from "@millrace/sdk";
import { startTestSystem, type TestSystem } from "../system/local-system.js";
import { storedLines, until } from "../system/observe.js";
import { openRawRpc } from "../system/raw-rpc.js";
import { refused, rejects } from "../system/refusals.js";

const publishPath = "/millrace.message.v1.PublishService/Publish";
const uploadPath = "/millrace.message.v1.PublishService/UploadContent";
const plain = {
  privacy: { exempt: true },
  enrichments: { embeddings: false, sentiment: false },
  outputs: { results: true, artifacts: true, search: false, events: false, storage: { rollAge: "200ms" } },
} as const;

/** Bytes that begin as a JPEG does: nobody looks further into what an exempt stream carries. */
const jpegLike = (bytes: number): Buffer => {
  const image = randomBytes(bytes);
  image.set([0xff, 0xd8, 0xff, 0xe0]);
  return image;
};
const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

describe("images of every size", () => {
  let system: TestSystem;
  before(async () => {
    system = await startTestSystem({ exemptAllowed: true });
  });
  after(() => system.stop());

  it("reach subscribers, handlers, artifacts and files as they came, and go through a replay", async () => {
    await using stream = await createStreamProcessor("photos", system.client, plain);
    const sizes = [1_000, 100_000, 900_000, limits.imageBytesMax];
    const images = sizes.map(jpegLike);
    const digests = images.map(digest).sort();
    const handled: string[] = [];
    await stream.onImageMessage(({ imageData }) => void handled.push(digest(imageData))).ready;
    const published = await stream.publish(images.map((image) => ({ image, sourceId: "cam" })));
    assert.equal(published.length, 4);
    const data = randomBytes(limits.dataBytesMax);
    await stream.publish({ data, sourceId: "cam" });

    const seen: ReceivedMessage[] = [];
    for await (const message of stream.subscribe({ from: "earliest" })) {
      seen.push(message);
      if (seen.length === 5) break;
    }
    const ofKind = (kind: string) => seen.filter((message) => message.kind === kind);
    assert.deepEqual(
      ofKind("image")
        .map(({ content }) => digest(content as Uint8Array))
        .sort(),
      digests,
    );
    assert.deepEqual(
      ofKind("data").map(({ content }) => digest(content as Uint8Array)),
      [digest(data)],
    );
    await until(() => handled.length === 4, "the handler's images");
    assert.deepEqual(handled.sort(), digests);

    const artifact = await stream.getOrCreateArtifact("cam");
    const largest = jpegLike(limits.imageBytesMax);
    const added = await artifact.addImage(largest, { processImmediately: true });
    assert.equal(added.content?.message.kind, "image");
    const kept = await artifact.getContent(added.id);
    assert.equal(digest(kept.message.content as Uint8Array), digest(largest));
    assert.deepEqual(await artifact.getDetectedObjects(added.id), []);

    const stored = async (): Promise<string[]> =>
      (await storedLines(system, "photos"))
        .flatMap((line) => (JSON.parse(line) as { image?: string }).image ?? [])
        .map((base64) => digest(Buffer.from(base64, "base64")));
    await until(async () => (await stored()).length === 5, "the stored images");
    assert.deepEqual((await stored()).sort(), [...digests, digest(largest)].sort());

    await using again = await createStreamProcessor("again", system.client, plain);
    for (const source of ["results", "storage"] as const) {
      const { messages } = await stream.replay({ into: "again", source });
      assert.equal(messages, 6);
    }
    const replayed: string[] = [];
    for await (const message of again.subscribe({ from: "earliest" })) {
      if (message.kind === "image") replayed.push(digest(message.imageData));
      if (replayed.length === 5) break;
    }
    assert.deepEqual(replayed.sort(), [...digests, digest(largest)].sort());
    const { conservation } = await stream.status();
    assert.deepEqual([conservation.in, conservation.dead, conservation.balanced], [6, 0, true]);
  });

  it("are looked into as their sender or their stream asks, and tell by which models", async () => {
    const enrichments = { ...plain.enrichments, objects: true };
    await using stream = await createStreamProcessor("looks", system.client, { ...plain, enrichments });
    const artifact = await stream.getOrCreateArtifact("desk");
    const features = { sceneAnalysis: true, faceDetection: false } as const;
    const { id, content } = await artifact.addImage(await coffeePhoto(), {
      features,
      processImmediately: true,
    });
    const objects = await artifact.getDetectedObjects(id);
    assert.deepEqual(
      objects.map(({ label, model }) => [label, model]),
      [["coffee cup", "ssd-mobilenetv2-oidv4"]],
    );
    const { message } = content ?? {};
    assert.deepEqual([message?.scene?.label, message?.scene?.model], ["drink", "efficientnet-lite0"]);
    const decided = message?.passport.find(({ stage }) => stage === "inference")?.decidedBy;
    assert.match(decided ?? "", /^ssd-mobilenetv2-oidv4@[0-9a-f]{16} efficientnet-lite0@[0-9a-f]{16}$/);
    await stream.publish({ image: await catPhoto(), sourceId: "sofa" });
    await stream.publish({ image: jpegLike(2_000), sourceId: "broken" });
    const unasked = { features: { objectDetection: false } };
    await stream.publish({ image: await catPhoto(), sourceId: "unasked", ...unasked });
    const seen = new Map<string, ReceivedMessage>();
    for await (const each of stream.subscribe({ from: "earliest" })) {
      seen.set(each.sourceId, each);
      if (seen.size === 3) break;
    }
    assert.deepEqual([...seen.keys()].sort(), ["desk", "sofa", "unasked"]);
    assert.deepEqual(
      ["sofa", "unasked"].map((of) => seen.get(of)?.objects.map(({ label }) => label)),
      [["cat"], []],
    );
    assert.equal(seen.get("sofa")?.scene, undefined);
    const stored = async () =>
      (await storedLines(system, "looks"))
        .map((line) => JSON.parse(line) as { source_id: string; objects?: { label: string }[] })
        .find(({ source_id: of }) => of === "sofa");
    await until(async () => (await stored()) !== undefined, "the stored image");
    assert.equal((await stored())?.objects?.[0]?.label, "cat");
    // What can't be decoded is a dead letter with a reason, and holds up nobody.
    await until(async () => (await stream.status()).conservation.dead === 1, "the dead letter");
  });

  it("that are filtered show objects, but no metadata, no face and no scene with a person", async () => {
    const { privacy: _, ...filtered } = plain;
    const enrichments = { ...plain.enrichments, objects: true, scene: true };
    await using stream = await createStreamProcessor("people", system.client, { ...filtered, enrichments });
    const canary = "Taken by Quentin Canarius";
    const photo = await withCanaries(await facePhoto(), "jpeg", canary);
    assert.ok(Buffer.from(photo).includes(canary));
    const artifact = await stream.getOrCreateArtifact("portrait");
    const { content } = await artifact.addImage(photo, { processImmediately: true });
    const { message } = content ?? {};
    assert.deepEqual(
      message?.findings.map(({ type }) => type),
      ["FACE"],
    );
    assert.ok(message?.objects.some(({ label }) => label === "person"));
    assert.equal(message?.scene, undefined);
    for await (const seen of stream.subscribe({ from: "earliest" })) {
      assert.ok(seen.kind === "image" && !Buffer.from(seen.imageData).includes(canary));
      assert.notEqual(digest(seen.imageData), digest(photo));
      break;
    }
    await until(async () => (await storedLines(system, "people")).length === 1, "the stored image");
    const [line = ""] = await storedLines(system, "people");
    const { image = "" } = JSON.parse(line) as { image?: string };
    assert.ok(image !== "" && !Buffer.from(image, "base64").includes(canary) && !line.includes(canary));
  });

  it("are refused by name where they are none, too large, or asked for their faces", async () => {
    await using stream = await attachStreamProcessor("photos", system.client);
    const image = jpegLike(limits.imageBytesMax + 1);
    await rejects(stream.publish({ image }), "invalid_argument", "message.image");
    await rejects(stream.publish({ image: randomBytes(900_000).fill(0, 0, 4) }), "invalid_argument", "image");
    const features = { faceDetection: true as unknown as false };
    await rejects(
      stream.publish({ image: jpegLike(9), features }),
      "invalid_argument",
      "message.features.faceDetection",
    );
    await rejects(stream.publish({ text: "x", features: {} }), "invalid_argument", "message.features");
  });

  it("are refused by name where an upload lies about its length, its kind or its order", async () => {
    const gateway = openRawRpc(`127.0.0.1:${system.described.ports.grpc}`);
    const large = jpegLike(limits.publishedImageBytesMax + 1);
    const request = { stream: "photos", content: { $case: "image" as const, value: large } };
    const end = await gateway.unary(
      publishPath,
      PublishRequest.encode(PublishRequest.fromPartial(request)).finish(),
    );
    refused(end, "INVALID_ARGUMENT", "image");
    assert.match(end.remedy, /UploadContent/);
    const frame = (bytes: number, fill = 0xff): UploadContentRequest["step"] => ({
      $case: "frame",
      value: Buffer.alloc(bytes, fill),
    });
    const opens = (fields: object): UploadContentRequest["step"] => ({
      $case: "open",
      value: UploadContentRequest_Open.fromPartial({
        stream: "photos",
        kind: UploadKind.UPLOAD_KIND_IMAGE,
        ...fields,
      }),
    });
    const bad: [string, UploadContentRequest["step"][]][] = [
      ["step", [frame(10)]],
      ["step", []],
      ["step", [opens({}), opens({})]],
      ["open.kind", [opens({ kind: 0 })]],
      ["open.stream", [opens({ stream: "nowhere" })]],
      ["image", [opens({ contentBytes: limits.imageBytesMax + 1 })]],
      ["frame", [opens({}), frame(limits.uploadFrameBytesMax + 1)]],
      ["frame", [opens({ contentBytes: 10 }), frame(11)]],
      ["frame", [opens({}), ...Array.from({ length: 33 }, () => frame(limits.uploadFrameBytesMax))]],
      ["open.content_bytes", [opens({ contentBytes: 10 }), frame(9)]],
      ["image", [opens({}), frame(9, 0)]],
    ];
    for (const [field, steps] of bad) {
      const requests = steps.map((step) => UploadContentRequest.encode({ step }).finish());
      const end = await gateway.duplex(uploadPath, requests);
      refused(end, field === "open.stream" ? "NOT_FOUND" : "INVALID_ARGUMENT", field);
    }
    gateway.close();
  });
});
