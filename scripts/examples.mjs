import { readdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

// npm run examples: all of them, against a Millrace of their own; the last line is "N passed, N failed".
// npm run examples -- quickstart [address]: one, against a Millrace that is running.
const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  process.argv.push("test/dist/examples/", "examples/dist/");
  await import("./test.mjs");
} else {
  await runMain(async () => {
    await setUp();
    const folder = join(root, "examples", "dist");
    if (!readdirSync(folder).includes(`${name}.js`))
      throw new Error(`there is no example ${name}; try quickstart`);
    process.argv = [process.execPath, join(folder, `${name}.js`), ...args];
    await import(pathToFileURL(join(folder, `${name}.js`)).href);
  });
}
