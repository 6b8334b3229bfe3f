import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import test from "node:test";
import {
  artifactId,
  batchId,
  deriveId,
  idBytes,
  idText,
  keyedMessageId,
  messageId,
  outputId,
  sourceKey,
} from "./ids.js";

const of = { tenant: "default", stream: "orders" };
const source = sourceKey(of, "file", "data/orders.jsonl");

test("ids never change between versions: what is stored refers to them", () => {
  assert.equal(source, "b0835b484935b8508ef94ea47b37688e");
  assert.equal(messageId({ ...of, source }, 4096), "d193c51373d39412ca29844d2eea8296");
  assert.equal(keyedMessageId({ ...of, createdMs: 7 }, "order-17"), "11a721c87177ac43a61e0bbb96cce13d");
  assert.equal(batchId({ ...of, source }, 0, 4096), "f0534f42a2f19004eeadebceda97df20");
  assert.equal(
    outputId(batchId({ ...of, source }, 0, 4096), "privacy", 3),
    "eb5ce46674a3f8322ded3f56fafc9811",
  );
  assert.equal(artifactId(of, "customer-9"), "f5fe2e808dd725149b945ab1477e7137");
});

test("an id is half of SHA-256 over its parts with NUL between, so that parts don't run together", () => {
  const whole = createHash("sha256").update("a\0b").digest("hex");
  assert.equal(deriveId("a", "b"), whole.slice(0, 32));
  assert.notEqual(deriveId("ab", "c"), deriveId("a", "bc"));
});

test("text and bytes of an id are the same id, also inside a larger buffer", () => {
  const id = deriveId("x");
  const padded = Buffer.concat([Buffer.alloc(3), idBytes(id), Buffer.alloc(3)]);
  assert.equal(idText(padded.subarray(3, 19)), id);
  assert.equal(idBytes(id).length, 16);
});
