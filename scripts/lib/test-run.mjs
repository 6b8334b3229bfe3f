import { relative, resolve } from "node:path";
import { run } from "node:test";
import { root } from "./places.mjs";

/**
 * @typedef {object} Failure
 * @property {string} file relative to the checkout
 * @property {string} name of the test; the file's own when it crashed
 * @property {string} error
 *
 * @typedef {object} TestCount
 * @property {number} passed
 * @property {string[]} notRun tests that said why they cannot run here
 * @property {string[]} notes what tests told of their run: seeds, figures, what a longer lane adds
 * @property {Failure[]} failures
 * @property {{ file: string, ms: number }[]} times
 */

/** The last of what a file printed on stderr: enough for a crash's stack. */
const stderrCharsMax = 8_000;

/**
 * Runs the files, each in a process of its own, which is killed when it is still there after `timeoutMs`:
 * because a test hangs, or because it left something open.
 *
 * @param {string[]} files relative to the checkout
 * @param {{ concurrency: number, timeoutMs: number }} options timeoutMs is per file
 * @returns {Promise<TestCount>}
 */
export async function runTests(files, options) {
  const count = {
    passed: 0,
    notRun: /** @type {string[]} */ ([]),
    notes: /** @type {string[]} */ ([]),
    failures: /** @type {Failure[]} */ ([]),
    times: /** @type {{ file: string, ms: number }[]} */ ([]),
  };
  const waiting = [...files];
  const work = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const startedMs = performance.now();
      await runFile(resolve(root, file), options.timeoutMs, count);
      count.times.push({ file, ms: performance.now() - startedMs });
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, work));
  return count;
}

/**
 * @param {string} path
 * @param {number} timeoutMs
 * @param {TestCount} count
 */
async function runFile(path, timeoutMs, count) {
  const stderr = /** @type {Map<string, string>} */ (new Map());
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    for await (const event of run({ files: [path], signal: late.signal })) {
      if (event.type === "test:stderr") keepStderr(stderr, event.data);
      // Node's own summary has no file.
      if (event.type === "test:diagnostic" && event.data.file !== undefined) {
        count.notes.push(event.data.message);
      }
      if (late.signal.aborted) break;
      if (event.type === "test:pass" || event.type === "test:fail") {
        countTest(count, { passed: event.type === "test:pass", ...event.data }, stderr);
      }
    }
  } finally {
    clearTimeout(timer);
  }
  if (!late.signal.aborted) return;
  const file = relative(root, path);
  const error = `the file did not end within ${timeoutMs / 1000} s\n${stderr.get(path) ?? ""}`;
  count.failures.push({ file, name: file, error: error.trimEnd() });
}

/**
 * A file's own event (its name is its path) comes only when the file crashed, hung or held no test. A suite,
 * and a test that failed only because of its subtests, repeat what is counted already.
 *
 * @param {TestCount} count
 * @param {{ passed: boolean, name: string, file?: string, skip?: string | boolean, details: { type?: string,
 * error?: unknown } }} test
 * @param {Map<string, string>} stderr by file
 */
function countTest(count, test, stderr) {
  const file = test.file ?? test.name;
  const isFile = resolve(root, test.name) === file;
  const failure = /** @type {{ failureType?: string, cause?: unknown } | undefined} */ (test.details.error);
  if (test.details.type === "suite" && failure?.failureType !== "hookFailed") return;
  if (failure?.failureType === "subtestsFailed") return;
  if (test.skip !== undefined && test.skip !== false) count.notRun.push(`${test.name}: ${test.skip}`);
  else if (test.passed && !isFile) count.passed += 1;
  else {
    const shown = relative(root, file);
    const error = test.passed ? "the file holds no test" : explain(failure);
    const said = isFile ? (stderr.get(file) ?? "") : "";
    count.failures.push({
      file: shown,
      name: isFile ? shown : test.name,
      error: `${error}\n${said}`.trimEnd(),
    });
  }
}

/** @param {unknown} error */
function explain(error) {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.stack ?? cause.message;
}

/**
 * @param {Map<string, string>} stderr
 * @param {{ file?: string, message: string }} part
 */
function keepStderr(stderr, { file = "", message }) {
  stderr.set(file, ((stderr.get(file) ?? "") + message).slice(-stderrCharsMax));
}
