import { runQuietly } from "./lib/command.mjs";
import { installed } from "./lib/places.mjs";
import { runMain, seconds } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";
import { testFiles } from "./lib/test-files.mjs";
import { runTests } from "./lib/test-run.mjs";

/**
 * @typedef {{ name: string, run: () => Promise<string | undefined> }} Check its result is what is wrong, if
 * anything
 */

/**
 * @param {string} name
 * @param {[string, ...string[]]} line
 * @returns {Check}
 */
function command(name, [program, ...args]) {
  const run = async () => {
    const { code, output } = await runQuietly(installed(program), args);
    return code === 0 ? undefined : output.trim();
  };
  return { name, run };
}

/** @type {Check[]} */
const checks = [
  command("format", ["biome", "format", "."]),
  command("types", ["tsc", "-b"]),
  command("lint", ["oxlint", "--type-aware", "--deny-warnings"]),
  command("proto lint", ["buf", "lint", "proto"]),
  { name: "generated code is fresh", run: freshness },
  { name: "house rules", run: houseRules },
];

async function freshness() {
  // It uses a package, which a fresh clone has only once it is set up.
  const { staleFiles } = await import("./lib/generate.mjs");
  const stale = await staleFiles();
  return stale.length === 0 ? undefined : `run npm run gen; these differ:\n${stale.join("\n")}`;
}

async function houseRules() {
  const { whole } = testFiles(["tidy"]);
  const { passed, failures } = await runTests(whole, { concurrency: 2, timeoutMs: 60_000 });
  if (failures.length > 0) return failures.map(({ name, error }) => `${name}\n${error}`).join("\n\n");
  return passed === 0 ? "no tidy test was found" : undefined;
}

await runMain(async () => {
  await setUp({ builds: false });
  let failed = 0;
  for (const { name, run } of checks) {
    const started = performance.now();
    const wrong = await run().catch((/** @type {unknown} */ error) => String(error));
    const time = seconds(performance.now() - started);
    if (wrong !== undefined) failed += 1;
    console.log(`${wrong === undefined ? "ok  " : "fail"} ${name} (${time})`);
    if (wrong !== undefined) console.log(wrong.replaceAll(/^/gm, "    "));
  }
  return failed === 0 ? 0 : 1;
});
