import assert from "node:assert/strict";
import { test } from "node:test";
import { AppendRequest } from "@millrace/proto/buffer";
import { encodeAppendRequest } from "./encode-append.js";
import { buildBatch, inlineBatch } from "./testing/index.js";

test("an append request is what the generated encoder's decoder reads", () => {
  for (const length of [0, 1, 127, 128, 16_383, 16_384, 1_048_576]) {
    const batch = inlineBatch(buildBatch({ texts: ["x".repeat(length), "ä"] }));
    const body = batch.body?.$case === "inline" ? batch.body.value : new Uint8Array();
    const decoded = AppendRequest.decode(encodeAppendRequest(batch, body));
    assert.deepEqual(AppendRequest.encode(decoded).finish(), AppendRequest.encode({ batch }).finish());
  }
});
