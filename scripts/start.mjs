import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

// The command runs in this very process: a signal reaches it directly, and nothing stands between it and npm.
await runMain(async () => {
  await setUp();
  const main = join(root, "cli", "dist", "main.js");
  process.argv = [process.execPath, main, "up", ...process.argv.slice(2)];
  await import(pathToFileURL(main).href);
});
