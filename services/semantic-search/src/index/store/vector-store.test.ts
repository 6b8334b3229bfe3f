import { CodedError } from "@millrace/errors";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { createVectorStore, lengthOf } from "./vector-store.js";

function cosine(one: Float32Array, other: Float32Array): number {
  const dot = one.reduce((sum, value, lane) => sum + value * (other[lane] as number), 0);
  return dot / (lengthOf(one) * lengthOf(other));
}

/** Vectors of any scale; at least one number is not tiny, so that there is a direction. */
const vectors = (dimensions: number) =>
  fc
    .tuple(
      fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: dimensions, maxLength: dimensions }),
      fc.constantFrom(1e-12, 1, 1e12),
    )
    .map(([values, scale]) => Float32Array.from(values, (value) => value * scale))
    .filter((vector) => lengthOf(vector) > 1e-18);

test("a scan gives the cosine to within what half floats round away", () => {
  const cases = fc
    .integer({ min: 1, max: 40 })
    .chain((dimensions) => fc.tuple(vectors(dimensions), fc.array(vectors(dimensions), { minLength: 1 })));
  fc.assert(
    fc.property(cases, ([query, rows]) => {
      const store = createVectorStore(query.length, 1000);
      const slots = rows.map((row) => store.put(row));
      store.setQuery(query);
      store.scan(Uint32Array.from(slots), slots.length, (slot, score) => {
        assert.ok(Math.abs(score - cosine(query, rows[slot] as Float32Array)) < 2e-3);
      });
    }),
  );
});

test("a vector is the same as itself: its score is 1", () => {
  const store = createVectorStore(384, 10);
  const vector = Float32Array.from({ length: 384 }, (_, lane) => Math.sin(lane * lane));
  const slot = store.put(vector);
  store.setQuery(vector);
  store.scan(Uint32Array.of(slot), 1, (_, score) => assert.ok(score > 1 - 1e-6 && score <= 1));
});

test("more slots than one batch of the kernel are all visited, in order", () => {
  const store = createVectorStore(8, 5000);
  const slots = Uint32Array.from({ length: 3000 }, (_, at) => store.put(new Float32Array(8).fill(at + 1)));
  store.setQuery(new Float32Array(8).fill(1));
  const visited: number[] = [];
  store.scan(slots, slots.length, (slot) => visited.push(slot));
  assert.deepEqual(visited, [...slots]);
});

test("a released row is zero and its slot is used again", () => {
  const store = createVectorStore(4, 10);
  const slot = store.put(Float32Array.of(1, 2, 3, 4));
  store.release(slot);
  const read = new Float32Array(4).fill(9);
  store.read(slot, read);
  assert.deepEqual([...read], [0, 0, 0, 0]);
  assert.equal(store.put(Float32Array.of(1, 0, 0, 0)), slot);
});

test("a full store refuses with resource_exhausted", () => {
  const store = createVectorStore(4, 2);
  store.put(Float32Array.of(1, 0, 0, 0));
  store.put(Float32Array.of(1, 0, 0, 0));
  const isFull = (error: unknown) => error instanceof CodedError && error.code === "resource_exhausted";
  assert.throws(() => store.put(Float32Array.of(1, 0, 0, 0)), isFull);
});
