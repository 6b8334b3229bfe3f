import assert from "node:assert/strict";
import { test } from "node:test";
import { present } from "@millrace/errors";
import { type Block, type BlockShare, createBlockPool } from "./block-pool.js";

const never = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const bulk = 1000;

/** Six large blocks of 100 bytes, small ones of 10. */
const createPool = () =>
  createBlockPool({ headBytes: 5, readBytes: 100, smallReadBytes: 10, bytesMax: 6 * 106 + 50 });

/** Takes blocks, of which some come later: `got` tells which came. */
function taking(share: BlockShare, count: number, signal = never) {
  const got: Block[] = [];
  for (let left = count; left > 0; left--) {
    void share.take(bulk, signal).then((block) => {
      if (block !== undefined) got.push(block);
    });
  }
  return got;
}

const first = (blocks: Block[]): Block => present(blocks.shift(), "a block");
const sizes = (blocks: Block[]): number[] => blocks.map(({ readBytes }) => readBytes);

test("a source that is alone holds all large blocks, and waits for the same bytes", async () => {
  const got = taking(createPool().share(), 7);
  await turn();
  assert.deepEqual(sizes(got), [100, 100, 100, 100, 100, 100]);
  assert.equal(got[0]?.bytes.length, 106);
  const { bytes, release } = first(got);
  release();
  await turn();
  assert.equal(got.length, 6);
  assert.equal(got[5]?.bytes, bytes);
});

test("whoever finds everything held goes on with a small block of its own", async () => {
  const pool = createPool();
  const held = taking(pool.share(), 20);
  const others = [taking(pool.share(), 2), taking(pool.share(), 2)];
  await turn();
  assert.equal(held.length, 6);
  for (const got of others) assert.deepEqual(sizes(got), [10]);
  for (const got of others) first(got).release();
  await turn();
  for (const got of others) assert.deepEqual(sizes(got), [10]);
});

test("sources that want all they can get are held to equal parts", async () => {
  const pool = createPool();
  const early = taking(pool.share(), 20);
  await turn();
  const late = [taking(pool.share(), 20), taking(pool.share(), 20)];
  await turn();
  const large = (blocks: Block[]) => blocks.filter(({ readBytes }) => readBytes === 100).length;
  for (let rounds = 0; rounds < 6; rounds++) {
    first(early).release();
    await turn();
    assert.ok(large(early) + late.reduce((sum, got) => sum + large(got), 0) <= 6, "never more than six");
  }
  assert.equal(large(early), 2);
  assert.deepEqual(late.map(large), [2, 2]);
});

test("a read that a small block is enough for leaves the large ones alone", async () => {
  const share = createPool().share();
  const small = await share.take(10, never);
  assert.equal(small?.readBytes, 10);
  assert.equal((await share.take(10, never))?.readBytes, 100);
});

test("after an abort nobody waits, and who waited behind it goes on", async () => {
  const pool = createPool();
  const share = pool.share();
  const held = taking(share, 6);
  const stopping = new AbortController();
  const aborted = share.take(bulk, stopping.signal);
  const patient = share.take(bulk, never);
  await turn();
  stopping.abort();
  assert.equal(await aborted, undefined);
  assert.equal(await share.take(bulk, stopping.signal), undefined);
  first(held).release();
  assert.equal((await patient)?.readBytes, 100);
});

test("a block that is given back twice is a mistake", async () => {
  const block = present(await createPool().share().take(bulk, never), "a block");
  block.release();
  assert.throws(() => block.release(), /released twice/);
});
