import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

await runMain(async () => {
  await setUp();
  const main = join(root, "test", "dist", "bench", "main.js");
  // A process of its own: what set-up has left in the heap is no part of a measurement.
  const child = spawn(process.execPath, [main, ...process.argv.slice(2)], { cwd: root, stdio: "inherit" });
  // The terminal sends Ctrl-C to both; the bench stops what it started, then we end with it.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill("SIGTERM"));
  const [code] = await once(child, "exit");
  return code ?? 1;
});
