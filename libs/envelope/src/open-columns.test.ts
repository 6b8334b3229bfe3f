import assert from "node:assert/strict";
import test from "node:test";
import { columnBytes, u32Column } from "./open-columns.js";

const column = Uint32Array.of(1, 65_536, 4_294_967_295);

test("an aligned column is a view of its bytes", () => {
  const bytes = columnBytes(column);
  assert.equal(bytes.length, 12);
  assert.equal(u32Column(bytes).buffer, column.buffer);
  assert.deepEqual(u32Column(bytes), column);
});

test("a column that the wire put at an odd offset reads the same", () => {
  for (const offset of [1, 2, 3]) {
    const odd = new Uint8Array(offset + 12);
    odd.set(columnBytes(column), offset);
    assert.deepEqual(u32Column(odd.subarray(offset)), column);
  }
});

test("bytes that make no whole entry are left out", () => {
  assert.equal(u32Column(new Uint8Array(7)).length, 1);
  assert.equal(u32Column(new Uint8Array(8).subarray(1)).length, 1);
});
