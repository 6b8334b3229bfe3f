import { CodedError, type Code } from "@millrace/errors";
import assert from "node:assert/strict";
import { test } from "node:test";
import { clusteredVectors } from "./bench-data.js";
import {
  createVectorIndex,
  type IndexedContent,
  type SearchRequest,
  type VectorIndex,
} from "./vector-index.js";

const dimensions = 16;

async function withIndex(run: (index: VectorIndex) => Promise<void>): Promise<void> {
  const index = await createVectorIndex({ dimensions, model: "test", exactScanMax: 64, tailMax: 32 });
  try {
    await run(index);
  } finally {
    await index.close();
  }
}

const idOf = (number: number) => number.toString(16).padStart(32, "0");

function contents(count: number, from = 0): IndexedContent[] {
  const place = { artifact: "a", stream: "s", tenant: "t", sourceId: "source", eventTimeMs: 0 };
  return Array.from({ length: count }, (_, at) => ({ id: idOf(from + at), ...place }));
}

function isError(code: Code, field?: string): (error: unknown) => boolean {
  return (error) => error instanceof CodedError && error.code === code && error.field === field;
}

const draw = clusteredVectors({ dimensions, clusters: 20, spread: 0.7, seed: 5 });

test("a content is found as soon as its upsert resolves, and gone as soon as its removal does", async () => {
  await withIndex(async (index) => {
    for (let from = 0; from < 3000; from += 300) {
      const vectors = draw(300);
      await index.upsert(contents(300, from), vectors);
      const vector = vectors.subarray(299 * dimensions);
      const search = { tenant: "t", vector, maxResults: 1 };
      assert.equal((await index.search(search))[0]?.id, idOf(from + 299));
      assert.equal(await index.remove([idOf(from + 299), idOf(99_999)]), 1);
      assert.notEqual((await index.search(search))[0]?.id, idOf(from + 299));
    }
    assert.equal(index.size().vectors, 2990);
    assert.equal(await index.removeStream("t", "s"), 2990);
    assert.deepEqual(await index.search({ tenant: "t", vector: draw(1), maxResults: 10 }), []);
  });
});

test("searches are answered while a long upsert is under way", async () => {
  await withIndex(async (index) => {
    let isDone = false;
    const upsert = index.upsert(contents(5000), draw(5000)).then(() => {
      isDone = true;
    });
    const hits = await index.search({ tenant: "t", vector: draw(1), maxResults: 5 });
    assert.equal(isDone, false);
    assert.ok(hits.length <= 5);
    await upsert;
    assert.equal(index.size().vectors, 5000);
  });
});

test("of two upserts of one content the later one holds", async () => {
  await withIndex(async (index) => {
    const [first, second] = [draw(2000), draw(2000)];
    await Promise.all([index.upsert(contents(2000), first), index.upsert(contents(2000), second)]);
    const vector = second.subarray(1999 * dimensions);
    const [best] = await index.search({ tenant: "t", vector, maxResults: 1 });
    assert.equal(best?.id, idOf(1999));
    assert.ok((best?.score ?? 0) > 0.9999);
  });
});

test("the caller's vectors stay usable", async () => {
  await withIndex(async (index) => {
    const vectors = draw(3);
    await index.upsert(contents(3), vectors);
    await index.search({ tenant: "t", vector: vectors.subarray(0, dimensions), maxResults: 1 });
    assert.equal(vectors.length, 3 * dimensions);
  });
});

test("bad upserts are refused by the field at fault", async () => {
  await withIndex(async (index) => {
    const zero = draw(2).fill(0, dimensions);
    const broken = draw(2).fill(Number.NaN, 0, 1);
    await assert.rejects(index.upsert(contents(2), draw(1)), isError("invalid_argument", "packedVectors"));
    await assert.rejects(index.upsert(contents(2), zero), isError("invalid_argument", "packedVectors[1]"));
    await assert.rejects(index.upsert(contents(2), broken), isError("invalid_argument", "packedVectors[0]"));
    const misnamed = contents(1).map((content) => ({ ...content, id: "no" }));
    await assert.rejects(index.upsert(misnamed, draw(1)), isError("invalid_argument", "entries[0].id"));
    assert.equal(index.size().vectors, 0);
  });
});

test("bad searches are refused by the field at fault", async () => {
  await withIndex(async (index) => {
    const good: SearchRequest = { tenant: "t", vector: draw(1), maxResults: 3 };
    const cases: [Partial<SearchRequest>, string][] = [
      [{ vector: new Float32Array(3).fill(1) }, "vector"],
      [{ vector: new Float32Array(dimensions) }, "vector"],
      [{ vector: draw(1).fill(Number.POSITIVE_INFINITY) }, "vector"],
      [{ maxResults: 0 }, "maxResults"],
      [{ maxResults: 1001 }, "maxResults"],
      [{ minScore: Number.NaN }, "minScore"],
    ];
    for (const [change, field] of cases) {
      await assert.rejects(index.search({ ...good, ...change }), isError("invalid_argument", field));
    }
  });
});

test("more waiting upserts than allowed are refused with resource_exhausted", async () => {
  const index = await createVectorIndex({ dimensions, model: "test", pendingVectorsMax: 100 });
  const first = index.upsert(contents(100), draw(100));
  await assert.rejects(index.upsert(contents(1, 100), draw(1)), isError("resource_exhausted"));
  await first;
  await index.upsert(contents(1, 100), draw(1));
  await index.close();
});

test("when the thread crashes, calls under way and later ones reject with unavailable", async () => {
  const source = `
    import { parentPort } from "node:worker_threads";
    parentPort.on("message", () => { throw new Error("crash"); });
    parentPort.postMessage({ kind: "ready" });
  `;
  const workerEntry = new URL(`data:text/javascript,${encodeURIComponent(source)}`);
  const index = await createVectorIndex({ dimensions, model: "test", workerEntry });
  assert.equal(index.failure(), undefined);
  const search: SearchRequest = { tenant: "t", vector: draw(1), maxResults: 3 };
  await assert.rejects(index.search(search), isError("unavailable"));
  assert.equal(index.failure()?.code, "unavailable");
  await assert.rejects(index.remove([idOf(1)]), isError("unavailable"));
  await index.close();
});

test("a thread that cannot start makes no index", async () => {
  const workerEntry = new URL("./no-such-worker.js", import.meta.url);
  await assert.rejects(createVectorIndex({ dimensions, model: "test", workerEntry }), isError("unavailable"));
});

test("an index without dimensions is refused", async () => {
  const isRefused = isError("invalid_argument", "dimensions");
  await assert.rejects(createVectorIndex({ dimensions: 0, model: "test" }), isRefused);
});

test("closing rejects what is under way with canceled", async () => {
  const index = await createVectorIndex({ dimensions, model: "test" });
  const search = index.search({ tenant: "t", vector: draw(1), maxResults: 3 });
  const rejected = assert.rejects(search, isError("canceled"));
  await index.close();
  await rejected;
});
