import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Worker } from "node:worker_threads";
import { fixtureModel } from "./fixture-model.js";
import { type ModelPool, type ModelPoolOptions, modelPool } from "./model-pool.js";
import { loadTextModel } from "./text-model.js";

const location = await fixtureModel();
const texts = Array.from({ length: 12 }, (_, i) => `Order ${i} was delivered ${"very ".repeat(i)}late.`);
const passages = { kind: "passage", sentiment: false } as const;

async function openPool(t: TestContext, options: Partial<ModelPoolOptions> = {}): Promise<ModelPool> {
  const pool = await modelPool({ location, workers: 1, ...options });
  t.after(() => pool.close());
  return pool;
}

/** What no worker survives: it is no message. Its thread ends between two runs, as after any bug of ours. */
function crash(worker: Worker | undefined): void {
  worker?.postMessage(null);
}

/** Workers that the test can lay hands on. */
function spawned(): { workers: Worker[]; spawn: () => Worker } {
  const workers: Worker[] = [];
  const spawn = (): Worker => {
    const url = new URL("./model-worker.js", import.meta.url);
    const worker = new Worker(url, { workerData: location });
    workers.push(worker);
    return worker;
  };
  return { workers, spawn };
}

test("two workers give the vectors and sentiments of direct calls, in the order of the texts", async (t) => {
  const pool = await openPool(t, { workers: 2 });
  const answer = await pool.embed(texts, { kind: "passage", sentiment: true });
  const model = await loadTextModel(location);
  t.after(() => model.close());
  const { dimensions } = model.info;
  assert.deepEqual(answer.model, model.info);
  assert.equal(answer.vectors.length, texts.length * dimensions);
  for (const [i, text] of texts.entries()) {
    const vector = await model.embed(text, "passage");
    assert.deepEqual(answer.vectors.slice(i * dimensions, (i + 1) * dimensions), vector);
    assert.deepEqual(answer.sentiment[i], model.sentiment(vector));
  }
});

test("the pool tells its model and its workers", async (t) => {
  const pool = await openPool(t, { workers: 2 });
  const [info] = pool.models();
  assert.equal(info?.name, location.name);
  assert.match(info?.sha256 ?? "", /^[0-9a-f]{64}$/);
  assert.deepEqual(pool.health(), { workersReady: 2, workersWanted: 2, failure: undefined });
});

test("no texts need no worker", async (t) => {
  const pool = await openPool(t);
  assert.equal((await pool.embed([], passages)).vectors.length, 0);
});

test("an interactive text is answered before the bulk that came first", async (t) => {
  const pool = await openPool(t);
  const order: string[] = [];
  const bulk = pool.embed([...texts, ...texts], passages).then(() => order.push("bulk"));
  const search = pool
    .embed(["late orders"], { kind: "query", sentiment: false, priority: "interactive" })
    .then(() => order.push("search"));
  await Promise.all([bulk, search]);
  assert.deepEqual(order, ["search", "bulk"]);
});

test("whoever is queued hears of each text before it, and then of its own only", async (t) => {
  const pool = await openPool(t);
  let before = 0;
  let behind = 0;
  let first = 0;
  await Promise.all([
    pool.embed(texts, { ...passages, goesOn: () => (first += 1) }).then(() => (before = behind)),
    pool.embed(texts, { ...passages, goesOn: () => (behind += 1) }),
  ]);
  // While texts of it wait it hears of each twice at most: as its own, and as one in the queue.
  assert.ok(first >= texts.length && first <= 2 * texts.length, `${first} times`);
  assert.ok(before >= texts.length - 2, `${before} times while it was queued`);
  assert.ok(behind >= before + texts.length, `${behind} times`);
});

test("a full queue refuses, and a search still gets in", async (t) => {
  const pool = await openPool(t, { queuedTextsMax: 20 });
  const accepted = pool.embed(texts, passages);
  await assert.rejects(pool.embed([...texts, ...texts], passages), { code: "resource_exhausted" });
  const priority = "interactive";
  assert.equal(
    (await pool.embed(["late"], { kind: "query", sentiment: false, priority })).vectors.length,
    384,
  );
  await accepted;
  assert.equal(pool.queuedTexts(), 0);
});

test("a caller that gives up frees the queue", async (t) => {
  const pool = await openPool(t);
  const abort = new AbortController();
  const given = pool.embed(texts, { ...passages, signal: abort.signal });
  abort.abort();
  await assert.rejects(given, { code: "canceled" });
  assert.equal(pool.queuedTexts(), 0);
  assert.equal((await pool.embed(["next"], passages)).vectors.length, 384);
});

test("the texts of a worker that dies are answered by the next one", async (t) => {
  const { workers, spawn } = spawned();
  const lost: string[] = [];
  const pool = await openPool(t, { spawn, onWorkerLost: ({ code }) => lost.push(code) });
  const before = await pool.embed(texts, passages);
  const during = pool.embed(texts, passages);
  crash(workers[0]);
  assert.deepEqual((await during).vectors, before.vectors);
  assert.deepEqual(lost, ["internal"]);
  assert.equal(workers.length, 2);
});

test("a text that ends two workers is refused and the pool goes on", async (t) => {
  const { workers, spawn } = spawned();
  const pool = await openPool(t, {
    spawn: () => {
      const worker = spawn();
      // The second dies with the text in hand again: it gets this right before.
      if (workers.length === 2) worker.once("message", () => crash(worker));
      return worker;
    },
  });
  crash(workers[0]);
  const poison = pool.embed(["poison"], passages);
  await assert.rejects(poison, { code: "internal", message: /ended two model workers/ });
  assert.equal((await pool.embed(["fine"], passages)).vectors.length, 384);
});

test("a pool whose model cannot be loaded does not open and says why", async () => {
  const options = { location: { ...location, modelsDirectory: "/nonexistent" }, workers: 2 };
  await assert.rejects(modelPool(options), {
    code: "failed_precondition",
    message: /\/nonexistent\/.*model\.onnx \(sha256 [0-9a-f]{64}\)/,
    remedy: /npx millrace models pull/,
  });
});

test("a closed pool refuses what is open and what comes", async () => {
  const pool = await modelPool({ location, workers: 1 });
  const open = pool.embed(texts, passages);
  const refused = assert.rejects(open, { code: "unavailable" });
  await pool.close();
  await refused;
  await assert.rejects(pool.embed(["late"], passages), { code: "unavailable" });
  await pool.close();
});
