import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

// npm run examples -- quickstart [address]: against a Millrace that is running.
await runMain(async () => {
  await setUp();
  const folder = join(root, "examples", "dist");
  const [name = "quickstart", ...args] = process.argv.slice(2);
  if (!readdirSync(folder).includes(`${name}.js`))
    throw new Error(`there is no example ${name}; try quickstart`);
  process.argv = [process.execPath, join(folder, `${name}.js`), ...args];
  await import(pathToFileURL(join(folder, `${name}.js`)).href);
});
