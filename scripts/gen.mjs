import { build } from "./lib/build.mjs";
import { root } from "./lib/places.mjs";
import { runMain } from "./lib/progress.mjs";
import { setUp } from "./lib/setup.mjs";

await runMain(async () => {
  await setUp({ builds: false });
  // They use a package, which a fresh clone has only once it is set up.
  const { generate } = await import("./lib/generate.mjs");
  const { generateChart } = await import("./lib/chart/generate-chart.mjs");
  await generate(root);
  // The settings are printed by the services themselves.
  await build();
  await generateChart(root);
});
