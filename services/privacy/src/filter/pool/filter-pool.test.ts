import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { crc32 } from "@millrace/files";
import type { CodedError } from "@millrace/errors";
import { type OpenBatch, wholeBatch } from "@millrace/envelope";
import { buildBatch } from "@millrace/envelope/testing";
import { Framing } from "@millrace/proto/batch";
import { createBodyPool } from "@millrace/segments";
import { filterOpenBatch, redactHere, redactInThreads } from "../filter-body.js";
import { createFilters } from "../filters.js";
import { createFilterPool, type FilterPoolOptions } from "./filter-pool.js";

const filter = createFilters(Buffer.alloc(32)).of(undefined);

function poolFor(t: TestContext, options: Partial<FilterPoolOptions> = {}) {
  const pool = createFilterPool({ threadsMax: 4, ...options });
  t.after(() => pool.close());
  return pool;
}

/** A batch of lines; of every third, or as told, the person can be found. */
function lines(count: number, every = 3): OpenBatch {
  const texts = Array.from({ length: count }, (_, at) =>
    at % every === 0 ? `line ${at}, write to anna${at}@example.com or call (212) 555-0147` : `line ${at}`,
  );
  return buildBatch({ texts, framing: Framing.FRAMING_LINES });
}

/** A job that any thread takes. */
function job(): Parameters<ReturnType<typeof createFilterPool>["redact"]>[2] {
  const shared = () => new Uint8Array(new SharedArrayBuffer(64));
  return { off: [], body: shared(), lengths: Uint32Array.of(64), gapBytes: 0, output: shared() };
}

/** A thread that answers nothing, or ends as soon as it is asked. */
const silent = () =>
  new Worker("require('node:worker_threads').parentPort.on('message', () => {})", { eval: true });
const dying = () =>
  new Worker("require('node:worker_threads').parentPort.on('message', () => process.exit(3))", {
    eval: true,
  });

describe("filter pool", () => {
  it("redacts as the service's own thread does, and knows the checksum", async (t) => {
    const memory = createBodyPool({ shared: true });
    const inThreads = redactInThreads(poolFor(t), memory, 2);
    // Many findings are written anew, few are cut out.
    for (const open of [...[1, 2, 300, 4_000].map((count) => lines(count)), lines(30_000, 10_000)]) {
      const here = wholeBatch(await filterOpenBatch(filter, open, redactHere(createBodyPool())));
      const there = wholeBatch(await filterOpenBatch(filter, open, inThreads));
      assert.equal(Buffer.compare(here.body, there.body), 0);
      assert.deepEqual(there.columns, here.columns);
      assert.deepEqual(there.annotations, here.annotations);
      assert.equal(there.bodyCrc32, crc32(here.body));
    }
  });

  it("hands back the body itself where nothing is found", async (t) => {
    const open = buildBatch({ texts: ["nothing to see", "here"] });
    const memory = createBodyPool({ shared: true });
    const { body } = await filterOpenBatch(filter, open, redactInThreads(poolFor(t), memory, 1));
    assert.equal(body, open.body);
  });

  it("has as many jobs of a stream at work as it may, and no more", async (t) => {
    const memory = createBodyPool({ shared: true });
    const open = lines(4_000);
    for (const [threads, most] of [
      [1, 1],
      [3, 3],
    ] as const) {
      const pool = poolFor(t);
      const redact = redactInThreads(pool, memory, threads);
      await Promise.all(Array.from({ length: 8 }, () => filterOpenBatch(filter, open, redact)));
      assert.deepEqual(pool.atWork(), { now: 0, most });
    }
  });

  it("lets another stream in while one has all that it may", async (t) => {
    const pool = poolFor(t, { spawn: silent, jobMsMax: 60_000 });
    const left = [pool.redact("a", 1, job()), pool.redact("a", 1, job()), pool.redact("b", 1, job())];
    assert.deepEqual(pool.atWork(), { now: 2, most: 2 });
    const ended = Promise.allSettled(left);
    await pool.close();
    for (const { status } of await ended) assert.equal(status, "rejected");
  });

  it("ends a thread that takes too long, fails its job and goes on", async (t) => {
    const threads = [silent, () => new Worker(new URL("./filter-worker.js", import.meta.url))];
    const lost: CodedError[] = [];
    const pool = poolFor(t, {
      threadsMax: 1,
      jobMsMax: 3_000,
      onThreadLost: (error) => lost.push(error),
      spawn: () => (threads.shift() ?? silent)(),
    });
    await assert.rejects(pool.redact("a", 1, job()), { code: "internal", message: /longer than 3000 ms/ });
    assert.equal((await pool.redact("a", 1, job())).crc32, undefined);
    assert.equal(lost.length, 1);
  });

  it("uses no memory again that a thread which is being ended may still write to", async (t) => {
    const given: Uint8Array[] = [];
    const memory = { ...createBodyPool({ shared: true }), give: (view: Uint8Array) => void given.push(view) };
    const pool = poolFor(t, { threadsMax: 1, spawn: dying });
    await assert.rejects(filterOpenBatch(filter, lines(300), redactInThreads(pool, memory, 1)));
    assert.deepEqual(given, []);
  });

  it("fails the job of a thread that ended", async (t) => {
    const pool = poolFor(t, { threadsMax: 1, spawn: dying });
    await assert.rejects(pool.redact("a", 1, job()), { code: "internal", message: /code 3/ });
  });
});
