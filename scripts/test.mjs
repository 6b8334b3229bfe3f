import { obtainForTests } from "./lib/obtain.mjs";
import { cacheDir } from "./lib/places.mjs";
import { runMain, say, seconds } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";
import { testFiles } from "./lib/test-files.mjs";
import { runTests } from "./lib/test-run.mjs";

/** Several of them take 50 s alone, and four times that beside other work. */
const unitTimeoutMs = 400_000;
const wholeTimeoutMs = 600_000;
/** How many of the slowest files are told. */
const slowestTold = 20;
/** Of the full fault lane, which waits through long outages and repeats power cuts. */
const fullTimeoutMs = 3_600_000;

await runMain(async () => {
  const isFull = process.argv.includes("--full");
  const filters = process.argv.slice(2).filter((argument) => argument !== "--full");
  if (isFull) process.env.MILLRACE_FAULT_LANE = "full";
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
  const second = await runTests(whole, {
    concurrency: 1,
    timeoutMs: isFull ? fullTimeoutMs : wholeTimeoutMs,
  });

  const failures = [...first.failures, ...second.failures];
  const passed = first.passed + second.passed;
  for (const note of [...first.notes, ...second.notes]) console.log(`note: ${note}`);
  for (const { file, name, error } of failures) {
    console.log(`FAILED ${file}\n  ${name}\n${error.replaceAll(/^/gm, "    ")}\n`);
  }
  for (const reason of [...first.notRun, ...second.notRun]) console.log(`NOT RUN ${reason}`);
  if (passed + failures.length === 0) {
    console.log(filters.length > 0 ? `no test file matches ${filters.join(" or ")}` : "no test was found");
  }
  const slowest = [...first.times, ...second.times].sort((a, b) => b.ms - a.ms).slice(0, slowestTold);
  if (slowest.length === slowestTold) for (const { file, ms } of slowest) say(`test: ${seconds(ms)} ${file}`);
  say(`test: done in ${seconds(performance.now() - started)}`);
  const notRun = first.notRun.length + second.notRun.length;
  console.log(`${passed} passed, ${failures.length} failed${notRun > 0 ? `, ${notRun} skipped` : ""}`);
  return failures.length > 0 || passed === 0 ? 1 : 0;
});
