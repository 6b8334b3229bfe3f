import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeRpcStatus, encodeRpcStatus, type RpcStatus } from "./rpc-status.js";

test("a status with all details survives the wire", () => {
  const status: RpcStatus = {
    code: 3,
    message: "publish: text is empty",
    fieldViolations: [
      { field: "messages[4].text", description: "is empty" },
      { field: "stream", description: "is missing" },
    ],
    errorInfo: {
      reason: "INVALID_ARGUMENT",
      domain: "millrace",
      metadata: { remedy: "Send at least one character.", field: "messages[4].text" },
    },
    quotaViolations: [{ subject: "stream:orders", description: "Send it again later." }],
    retryDelayMs: 61_250,
  };
  assert.deepEqual(decodeRpcStatus(encodeRpcStatus(status)), status);
});

test("a status without details has none after the wire", () => {
  const status: RpcStatus = { code: 14, message: "später" };
  assert.deepEqual(decodeRpcStatus(encodeRpcStatus(status)), status);
});

test("the bytes are those of google.rpc.Status", () => {
  const bytes = encodeRpcStatus({ code: 8, message: "m", retryDelayMs: 1500 });
  // Laid out by hand from the field numbers of google/rpc/status.proto and error_details.proto.
  const typeUrl = Buffer.from("type.googleapis.com/google.rpc.RetryInfo");
  const any = Buffer.concat([
    Buffer.from([0x0a, typeUrl.length]),
    typeUrl,
    Buffer.from([0x12, 0x0a, 0x0a, 0x08, 0x08, 0x01, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01]),
  ]);
  const expected = Buffer.concat([Buffer.from([0x08, 8, 0x12, 1, 0x6d, 0x1a, any.length]), any]);
  assert.equal(Buffer.from(bytes).toString("hex"), expected.toString("hex"));
});

test("details of unknown types are skipped", () => {
  const other = Buffer.from([0x1a, 0x05, 0x0a, 0x03, 0x61, 0x2f, 0x62]);
  const status = { code: 5, message: "no such stream" };
  assert.deepEqual(decodeRpcStatus(Buffer.concat([encodeRpcStatus(status), other])), status);
});

test("bytes that are cut off are refused", () => {
  const bytes = encodeRpcStatus({ code: 5, message: "no such stream" });
  assert.throws(() => decodeRpcStatus(bytes.subarray(0, bytes.length - 3)));
});
