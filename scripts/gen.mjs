import { generate } from "./lib/generate.mjs";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

await runMain(async () => {
  await setUp({ builds: false });
  await generate(root);
});
