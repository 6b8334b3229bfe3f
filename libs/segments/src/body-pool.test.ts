import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBodyPool } from "./body-pool.js";

describe("body pool", () => {
  it("hands out again what was given back, by any view", () => {
    const pool = createBodyPool();
    const first = pool.take(100);
    pool.give(first.subarray(10, 20));
    assert.equal(pool.take(1024 * 1024).buffer, first.buffer);
  });

  it("never hands out the same memory twice", () => {
    const pool = createBodyPool();
    const first = pool.take(1);
    pool.give(first);
    pool.give(first);
    assert.notEqual(pool.take(1).buffer, pool.take(1).buffer);
  });

  it("keeps blocks of bulk bodies apart from small ones", () => {
    const pool = createBodyPool();
    const bulk = pool.take(12 * 1024 * 1024);
    assert.equal(bulk.length, 15 * 1024 * 1024);
    pool.give(bulk);
    assert.equal(pool.take(1).length, 1280 * 1024);
    assert.equal(pool.take(2 * 1024 * 1024).buffer, bulk.buffer);
  });

  it("hands out memory that threads share where that is asked for", () => {
    const pool = createBodyPool({ shared: true });
    assert.ok(pool.take(1).buffer instanceof SharedArrayBuffer);
    assert.ok(pool.take(16 * 1024 * 1024).buffer instanceof SharedArrayBuffer);
  });

  it("leaves foreign memory and oversize bodies alone", () => {
    const pool = createBodyPool();
    const large = pool.take(16 * 1024 * 1024);
    assert.equal(large.length, 16 * 1024 * 1024);
    pool.give(large);
    pool.give(new Uint8Array(64));
    assert.equal(pool.take(1).length, 1280 * 1024);
  });
});
