import assert from "node:assert/strict";
import test from "node:test";
import { snappyCompress } from "@platformatic/wasm-utils";
import { unframeSnappy } from "./codecs.js";

const head = Buffer.from("82534e4150505900000000010000000100000000", "hex").subarray(0, 16);

function framed(...texts: string[]): Buffer {
  const blocks = texts.flatMap((text) => {
    const block = snappyCompress(Buffer.from(text));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(block.length);
    return [length, block];
  });
  return Buffer.concat([head, ...blocks]);
}

test("snappy as Java frames it is read, in one block or several; bare snappy too", () => {
  assert.equal(unframeSnappy(framed("one block")).toString(), "one block");
  assert.equal(unframeSnappy(framed("two ", "blocks")).toString(), "two blocks");
  assert.equal(unframeSnappy(snappyCompress(Buffer.from("bare"))).toString(), "bare");
});

test("a framed block that is cut off is refused", () => {
  assert.throws(() => unframeSnappy(framed("cut off").subarray(0, -2)), { code: "data_loss" });
});
