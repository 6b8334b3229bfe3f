import { build } from "./lib/build.mjs";
import { generateChart } from "./lib/chart/generate-chart.mjs";
import { generate } from "./lib/generate.mjs";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

await runMain(async () => {
  await setUp({ builds: false });
  await generate(root);
  // The settings are printed by the services themselves.
  await build();
  await generateChart(root);
});
