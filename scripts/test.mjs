import { obtainForTests } from "./lib/obtain.mjs";
import { cacheDir } from "./lib/places.mjs";
import { runMain, say, seconds } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";
import { testFiles } from "./lib/test-files.mjs";
import { runTests } from "./lib/test-run.mjs";

const unitTimeoutMs = 120_000;
const wholeTimeoutMs = 600_000;

await runMain(async () => {
  const filters = process.argv.slice(2);
  await setUp();
  const { natsServer } = await obtainForTests();
  // Every test file is a process of its own and finds both by these.
  process.env.NATS_SERVER_BIN = natsServer;
  process.env.MILLRACE_CACHE_DIR = cacheDir();
  const { units, whole } = testFiles(filters);
  const started = performance.now();
  say(`test: ${units.length} files beside the code, two at a time`);
  const first = await runTests(units, { concurrency: 2, timeoutMs: unitTimeoutMs });
  say(`test: ${whole.length} files of the whole pipeline, one at a time`);
  const second = await runTests(whole, { concurrency: 1, timeoutMs: wholeTimeoutMs });

  const failures = [...first.failures, ...second.failures];
  const passed = first.passed + second.passed;
  const skipped = first.skipped + second.skipped;
  for (const { file, name, error } of failures) {
    console.log(`FAILED ${file}\n  ${name}\n${error.replaceAll(/^/gm, "    ")}\n`);
  }
  if (skipped > 0) console.log(`${skipped} skipped`);
  if (passed + failures.length === 0) {
    console.log(filters.length > 0 ? `no test file matches ${filters.join(" or ")}` : "no test was found");
  }
  say(`test: done in ${seconds(performance.now() - started)}`);
  console.log(`${passed} passed, ${failures.length} failed`);
  return failures.length > 0 || passed === 0 ? 1 : 0;
});
