import { CodedError } from "@millrace/errors";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { clusteredVectors, seededRandom } from "./bench-data.js";
import { createIndexEngine, type Change, type EngineOptions, type IndexEngine } from "./index-engine.js";
import type { Hit, IndexedContent, SearchRequest } from "./index-protocol.js";

const dimensions = 6;
/** So small that a hundred contents see the tail, the graph and rebuilds. */
const options: EngineOptions = {
  dimensions,
  vectorsMax: 10_000,
  exactScanMax: 16,
  tailMax: 12,
  neighbourCost: 40,
  rebuildDeadMin: 8,
  connectivity: 16,
  expansionAdd: 64,
  expansionSearch: 64,
};

function finish<T>(change: Change<T>): T {
  let step = change.next();
  while (step.done !== true) step = change.next();
  return step.value;
}

const idOf = (number: number) => number.toString(16).padStart(32, "0");

function contentOf(number: number, place: Partial<IndexedContent> = {}): IndexedContent {
  const defaults = { artifact: "a", stream: "s", tenant: "t", sourceId: "source", eventTimeMs: 7 };
  return { id: idOf(number), ...defaults, ...place };
}

interface Item {
  content: IndexedContent;
  vector: Float32Array;
}

function cosine(one: Float32Array, other: Float32Array): number {
  let [dot, ones, others] = [0, 0, 0];
  for (const [lane, value] of one.entries()) {
    const facing = other[lane] as number;
    dot += value * facing;
    ones += value * value;
    others += facing * facing;
  }
  return dot / Math.sqrt(ones * others);
}

interface Asked {
  request: SearchRequest;
  isExact: boolean;
}

/** What half floats and single precision may move a score. */
const tolerance = 2e-3;

/**
 * The hits are the exact answer, up to what rounding may swap at the border; through a graph they are right,
 * ordered and as many as asked for, but another may be better.
 */
function checkHits(hits: Hit[], model: Map<string, Item>, { request, isExact }: Asked): void {
  const { minScore = -1, artifacts, streams } = request;
  const scores = new Map<string, number>();
  for (const { content, vector } of model.values()) {
    const isWanted =
      content.tenant === request.tenant &&
      (artifacts?.includes(content.artifact) ?? true) &&
      (streams?.includes(content.stream) ?? true);
    if (isWanted) scores.set(content.id, cosine(request.vector, vector));
  }
  const sorted = [...scores.values()].sort((one, other) => other - one);
  const sure = sorted.filter((score) => score > minScore + tolerance).length;
  const possible = sorted.filter((score) => score > minScore - tolerance).length;
  if (isExact || minScore === -1) {
    assert.ok(hits.length >= Math.min(sure, request.maxResults), "no match is missing");
  }
  assert.ok(hits.length <= Math.min(possible, request.maxResults), "nothing is returned that does not match");
  assert.equal(new Set(hits.map(({ id }) => id)).size, hits.length, "no content is returned twice");
  for (const [at, hit] of hits.entries()) {
    const exact = scores.get(hit.id);
    assert.ok(exact !== undefined, "a hit is live and passes the filter");
    assert.ok(Math.abs(hit.score - exact) < tolerance, "a score is the cosine");
    const isBest = Math.abs(hit.score - (sorted[at] as number)) < tolerance;
    assert.ok(isBest || !isExact, "the best come first");
    const before = hits[at - 1];
    const isOrdered =
      before === undefined || before.score > hit.score || (before.score === hit.score && before.id < hit.id);
    assert.ok(isOrdered, "equal scores are ordered by id");
    const { score: _score, ...found } = hit;
    const { tenant: _tenant, ...stored } = (model.get(hit.id) as Item).content;
    assert.deepEqual(found, stored);
  }
}

const vectors = fc
  .array(fc.integer({ min: -3, max: 3 }), { minLength: dimensions, maxLength: dimensions })
  .filter((values) => values.some((value) => value !== 0))
  .map((values) => Float32Array.from(values));
const numbers = fc.integer({ min: 0, max: 119 });
/** The tenant follows from the id, as it does for derived ids. */
const items = fc
  .tuple(numbers, fc.constantFrom("a", "b", "c"), fc.constantFrom("s", "r"), vectors)
  .map(([number, artifact, stream, vector]): Item => {
    const tenant = number % 4 === 0 ? "small" : "large";
    return { content: contentOf(number, { artifact, stream, tenant, eventTimeMs: number }), vector };
  });
const tenants = fc.constantFrom("small", "large");
const actions = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("upsert"), items: fc.array(items, { maxLength: 40 }) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("remove"), ids: fc.array(numbers, { maxLength: 40 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("removeStream"),
      tenant: tenants,
      stream: fc.constantFrom("s", "r"),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("work"), steps: fc.integer({ min: 1, max: 60 }) }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("search"),
      tenant: tenants,
      vector: vectors,
      maxResults: fc.integer({ min: 1, max: 130 }),
      minScore: fc.option(fc.double({ min: -1, max: 1, noNaN: true }), { nil: undefined }),
      artifacts: fc.option(fc.subarray(["a", "b", "c", "none"]), { nil: undefined }),
      streams: fc.option(fc.subarray(["s", "r"]), { nil: undefined }),
    }),
  },
);
type Action =
  | { kind: "upsert"; items: Item[] }
  | { kind: "remove"; ids: number[] }
  | { kind: "removeStream"; tenant: string; stream: string }
  | { kind: "work"; steps: number }
  | ({
      kind: "search";
      minScore?: number | undefined;
      artifacts?: string[] | undefined;
      streams?: string[] | undefined;
    } & Pick<SearchRequest, "tenant" | "vector" | "maxResults">);

function pack(list: readonly Float32Array[]): Float32Array {
  return Float32Array.from(list.flatMap((vector) => [...vector]));
}

function act(
  engine: IndexEngine,
  model: Map<string, Item>,
  { action, isExact }: { action: Action; isExact: boolean },
) {
  switch (action.kind) {
    case "upsert":
      finish(
        engine.upsert(
          action.items.map(({ content }) => content),
          pack(action.items.map(({ vector }) => vector)),
        ),
      );
      for (const item of action.items) model.set(item.content.id, item);
      break;
    case "remove": {
      const present = new Set(action.ids.map(idOf).filter((id) => model.delete(id)));
      assert.equal(finish(engine.remove(action.ids.map(idOf))), present.size);
      break;
    }
    case "removeStream": {
      const isIn = ({ content }: Item) =>
        content.tenant === action.tenant && content.stream === action.stream;
      const gone = [...model.values()].filter(isIn);
      for (const { content } of gone) model.delete(content.id);
      assert.equal(finish(engine.removeStream(action.tenant, action.stream)), gone.length);
      break;
    }
    case "work":
      for (let step = 0; step < action.steps; step++) engine.work();
      break;
    case "search": {
      const { kind: _kind, minScore, artifacts, streams, ...rest } = action;
      const request: SearchRequest = {
        ...rest,
        ...(minScore === undefined ? {} : { minScore }),
        ...(artifacts === undefined ? {} : { artifacts }),
        ...(streams === undefined ? {} : { streams }),
      };
      checkHits(engine.search(request), model, { request, isExact });
    }
  }
  assert.equal(engine.size().vectors, model.size);
}

/** So cheap that the graph is asked wherever there is one. */
const throughGraph = { neighbourCost: 0.01 };

for (const [name, change, isExact] of [
  ["searches give the exact answer", {}, true],
  ["searches through graphs find only what is there, and enough of it", throughGraph, false],
] as const) {
  test(`whatever is added, replaced and removed, ${name}`, () => {
    fc.assert(
      fc.property(fc.array(actions, { minLength: 10, maxLength: 60 }), (list) => {
        const engine = createIndexEngine({ ...options, ...change });
        const model = new Map<string, Item>();
        for (const action of list) act(engine, model, { action: action as Action, isExact });
      }),
      { numRuns: 300 },
    );
  });
}

/** An engine whose 2,000 contents are in the graph: what is found is found through it. */
function graphEngine(): { engine: IndexEngine; draw: (count: number) => Float32Array; packed: Float32Array } {
  const engine = createIndexEngine({ ...options, ...throughGraph, dimensions: 32, rebuildDeadMin: 100 });
  const draw = clusteredVectors({ dimensions: 32, clusters: 40, spread: 0.7, seed: 3 });
  const packed = draw(2000);
  const entries = Array.from({ length: 2000 }, (_, at) =>
    contentOf(at, { artifact: at < 3 ? "rare" : "common" }),
  );
  finish(engine.upsert(entries, packed));
  settle(engine);
  return { engine, draw, packed };
}

function settle(engine: IndexEngine): void {
  while (engine.work());
}

test("an artifact of three contents among thousands gives all three", () => {
  const { engine, draw } = graphEngine();
  const hits = engine.search({ tenant: "t", vector: draw(1), maxResults: 10, artifacts: ["rare"] });
  assert.deepEqual(hits.map(({ id }) => id).sort(), [idOf(0), idOf(1), idOf(2)]);
});

test("an artifact that lies mostly far from the query still gives as many hits as asked for", () => {
  const { engine, draw, packed } = graphEngine();
  const query = draw(1);
  const vectorOf = (at: number) => packed.subarray(at * 32, at * 32 + 32);
  const byScore = Array.from({ length: 2000 }, (_, at) => at).sort(
    (one, other) => cosine(query, vectorOf(other)) - cosine(query, vectorOf(one)),
  );
  const members = [...byScore.slice(0, 2), ...byScore.slice(-100)];
  const moved = members.map((at) => contentOf(at, { artifact: "far" }));
  finish(engine.upsert(moved, pack(members.map(vectorOf))));
  settle(engine);
  const hits = engine.search({ tenant: "t", vector: query, maxResults: 10, artifacts: ["far"] });
  assert.deepEqual(
    hits.map(({ id }) => id),
    members.slice(0, 10).map(idOf),
  );
});

test("each content in the graph is its own nearest", () => {
  const { engine, packed } = graphEngine();
  let found = 0;
  for (let at = 0; at < 2000; at++) {
    const [best] = engine.search({
      tenant: "t",
      vector: packed.subarray(at * 32, at * 32 + 32),
      maxResults: 1,
    });
    if (best?.id === idOf(at)) found += 1;
  }
  assert.ok(found >= 1990, `${found} of 2,000`);
});

test("a rebuild frees the places of removed contents while searches go on", () => {
  const { engine, draw, packed } = graphEngine();
  const gone = Array.from({ length: 1000 }, (_, at) => idOf(at * 2));
  assert.equal(finish(engine.remove(gone)), 1000);
  assert.equal(engine.size().tombstones, 1000);
  const query = draw(1);
  do {
    for (const hit of engine.search({ tenant: "t", vector: query, maxResults: 20 })) {
      assert.ok(!gone.includes(hit.id), "a removed content is never returned");
    }
  } while (engine.work());
  assert.equal(engine.size().tombstones, 0);
  const [best] = engine.search({ tenant: "t", vector: packed.subarray(32, 64), maxResults: 1 });
  assert.equal(best?.id, idOf(1));
});

test("contents added during a rebuild are found during it and after it", () => {
  const { engine, draw } = graphEngine();
  finish(engine.remove(Array.from({ length: 1000 }, (_, at) => idOf(at * 2))));
  for (let step = 0; step < 50; step++) engine.work();
  const fresh = draw(200);
  finish(
    engine.upsert(
      Array.from({ length: 200 }, (_, at) => contentOf(5000 + at)),
      fresh,
    ),
  );
  const isFound = (at: number) => {
    const vector = fresh.subarray(at * 32, at * 32 + 32);
    return engine.search({ tenant: "t", vector, maxResults: 1 })[0]?.id === idOf(5000 + at);
  };
  const during = Array.from({ length: 200 }, (_, at) => isFound(at)).filter(Boolean).length;
  settle(engine);
  const after = Array.from({ length: 200 }, (_, at) => isFound(at)).filter(Boolean).length;
  assert.ok(during >= 198 && after >= 198, `${during} during, ${after} after`);
});

test("recall at 10 is at least 0.95 after half of the contents were replaced", () => {
  const { engine, draw, packed } = graphEngine();
  const fresh = draw(1000);
  finish(
    engine.upsert(
      Array.from({ length: 1000 }, (_, at) => contentOf(at)),
      fresh,
    ),
  );
  settle(engine);
  packed.set(fresh);
  const random = seededRandom(9);
  let found = 0;
  for (let run = 0; run < 100; run++) {
    const vector = draw(1).map((value) => value + 0.01 * random());
    const exact = Array.from({ length: 2000 }, (_, at) => ({
      id: idOf(at),
      score: cosine(vector, packed.subarray(at * 32, at * 32 + 32)),
    }));
    const best = new Set(
      exact
        .sort((one, other) => other.score - one.score)
        .slice(0, 10)
        .map(({ id }) => id),
    );
    found += engine.search({ tenant: "t", vector, maxResults: 10 }).filter(({ id }) => best.has(id)).length;
  }
  assert.ok(found >= 950, `${found} of 1,000`);
});

test("the same content said again leaves no tombstone", () => {
  const { engine, packed } = graphEngine();
  finish(
    engine.upsert([contentOf(5, { artifact: "common", eventTimeMs: 8 })], packed.subarray(5 * 32, 6 * 32)),
  );
  assert.equal(engine.size().tombstones, 0);
  const [best] = engine.search({ tenant: "t", vector: packed.subarray(5 * 32, 6 * 32), maxResults: 1 });
  assert.equal(best?.eventTimeMs, 8);
});

test("a tenant that shrinks to a few contents gives its graph up", () => {
  const { engine, draw } = graphEngine();
  finish(engine.remove(Array.from({ length: 1995 }, (_, at) => idOf(at))));
  settle(engine);
  assert.equal(engine.size().tombstones, 0);
  assert.equal(engine.search({ tenant: "t", vector: draw(1), maxResults: 10 }).length, 5);
});

test("an id of another tenant is refused and nothing of the upsert is stored", () => {
  const engine = createIndexEngine(options);
  const vector = Float32Array.of(1, 0, 0, 0, 0, 0);
  finish(engine.upsert([contentOf(1)], vector));
  const entries = [contentOf(2, { tenant: "u" }), contentOf(1, { tenant: "u" })];
  const isRefused = (error: unknown) => error instanceof CodedError && error.code === "invalid_argument";
  assert.throws(() => finish(engine.upsert(entries, pack([vector, vector]))), isRefused);
  assert.equal(engine.size().vectors, 1);
});
