import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { runTests } from "./test-run.mjs";

test("passing tests and subtests are counted, suites are not", async (t) => {
  const body = `test("one", (t) => t.test("inner", () => {}));
    describe("suite", () => { it("two", () => {}); });`;
  assert.deepEqual(await count(t, body), { passed: 3, notRun: [], notes: [], failures: [] });
});

test("a failing subtest is counted once, with its error", async (t) => {
  const { passed, failures } = await count(
    t,
    `test("outer", (t) => t.test("inner", () => { throw new Error("boom"); }));`,
  );
  assert.equal(passed, 0);
  assert.deepEqual(
    failures.map(({ name }) => name),
    ["inner"],
  );
  assert.match(failures[0]?.error ?? "", /boom/);
});

test("a file that crashes is a failure and shows what it printed", async (t) => {
  const { failures } = await count(t, `throw new Error("at load");`);
  assert.equal(failures.length, 1);
  assert.match(failures[0]?.error ?? "", /at load/);
});

test("a file that exits in the middle of a test is a failure", async (t) => {
  for (const code of [0, 3]) {
    const { failures } = await count(t, `test("one", () => {}); test("two", () => process.exit(${code}));`);
    assert.equal(failures.length, 1, `exit code ${code}`);
  }
});

test("a file that exits with 0 before its tests ran is a failure", async (t) => {
  const { failures } = await count(t, `process.exit(0); test("never", () => {});`);
  assert.equal(failures.length, 1);
});

test("a file that hangs, or leaves something open, is ended and is a failure", async (t) => {
  const hangs = `test("hang", () => new Promise(() => setInterval(() => {}, 1000)));`;
  const leaks = `test("leak", () => { setInterval(() => {}, 1000); });`;
  for (const body of [hangs, leaks]) {
    const { failures } = await count(t, body, 1_500);
    assert.equal(failures.length, 1);
    assert.match(failures[0]?.error ?? "", /did not end within 1\.5 s/);
  }
});

test("a file without a test is a failure", async (t) => {
  const { passed, failures } = await count(t, "");
  assert.equal(passed, 0);
  assert.match(failures[0]?.error ?? "", /holds no test/);
});

test("a test that cannot run here is neither passed nor failed, and its reason is kept", async (t) => {
  assert.deepEqual(await count(t, `test("later", (t) => t.skip("no such disk"));`), {
    passed: 0,
    notRun: ["later: no such disk"],
    notes: [],
    failures: [],
  });
});

test("what a test tells of its run is kept, Node's own summary is not", async (t) => {
  const { notes } = await count(t, `test("told", (t) => t.diagnostic("seed 7"));`);
  assert.deepEqual(notes, ["seed 7"]);
});

/**
 * @param {import("node:test").TestContext} t
 * @param {string} body
 * @param {number} [timeoutMs]
 */
async function count(t, body, timeoutMs = 60_000) {
  const folder = mkdtempSync(join(tmpdir(), "millrace-run-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "sample.test.mjs");
  writeFileSync(file, `import test, { describe, it } from "node:test";\n${body}\n`);
  // node:test runs no runner inside a runner; the variable marks the inner one.
  delete process.env.NODE_TEST_CONTEXT;
  const { times, ...counted } = await runTests([file], { concurrency: 1, timeoutMs });
  assert.deepEqual(
    times.map((each) => each.file),
    [file],
  );
  return counted;
}
